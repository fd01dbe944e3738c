//! A function that names hosts reaches those and nobody else (rows P20 and X13 of the failure catalogue).

use serde_json::json;

use super::machine::{BINARY, run_check};
use crate::support::{TestGateway, Web, chat, python, say, source};

/// Two servers in the clear and one with TLS that are named, one that is not, and a function that may reach the three.
struct Scene {
    gateway: TestGateway,
    plain: Web,
    second: Web,
    encrypted: Web,
    other: Web,
    leading: Web,
}

impl Scene {
    /// `None`, with a word, where the kernel does not let us have networks of our own.
    async fn start() -> Option<Self> {
        let setup = TestGateway::setup().python();
        let certificate = setup.home().join("certificate.pem");
        let (plain, second) = (
            Web::saying("in the clear").await,
            Web::saying("second").await,
        );
        let encrypted = Web::encrypted("encrypted", &certificate).await;
        let other = Web::saying("not named").await;
        let leading = Web::leading_to(&format!("http://{}/", other.place())).await;
        let table = format!(
            "[function.reaching]\nhosts = [\"{}\", \"{}\", \"{}\", \"localhost:{}\", \"*.named.test\", \"10.255.0.0/16\"]",
            plain.place(),
            second.place(),
            leading.place(),
            encrypted.port
        );
        let certificate = certificate.display().to_string();
        let setup = setup
            .tables(&table)
            .passing("SSL_CERT_FILE", &certificate)
            .passing("REQUESTS_CA_BUNDLE", &certificate)
            .passing("NO_PROXY", "127.0.0.1")
            .function("reaching", &source("reaching"));
        let scene = Self {
            gateway: setup.start().await,
            plain,
            second,
            encrypted,
            other,
            leading,
        };
        let question = chat(
            "reaching",
            &json!({"way": "devices", "url": ""}).to_string(),
        );
        let answer = scene.gateway.user().chat(&question).await;
        if answer.status == 503 {
            assert!(
                answer
                    .text()
                    .contains("`hosts` only, which this machine cannot hold")
            );
            say("isolation: skipped, not in force here: hosts");
            return None;
        }
        Some(scene)
    }

    async fn ask(&self, way: &str, url: &str) -> String {
        let question = json!({"way": way, "url": url}).to_string();
        let answer = self.gateway.user().chat(&chat("reaching", &question)).await;
        answer.expect(200).content()
    }

    /// What is refused is refused by whoever is asked, and says so.
    async fn refuses(&self, way: &str, url: &str, why: &str) {
        let said = self.ask(way, url).await;
        assert!(said.starts_with("failed: "), "{way} {url}: {said}");
        assert!(said.contains(why), "{way} {url}: {said}");
    }
}

#[tokio::test]
async fn p20_every_library_reaches_the_hosts_that_are_named() {
    let Some(scene) = Scene::start().await else {
        return;
    };
    let plain = format!("http://{}/some/path?x=1", scene.plain.place());
    let encrypted = format!("https://localhost:{}/", scene.encrypted.port);
    for way in ["requests", "httpx", "aiohttp", "urllib"] {
        assert_eq!(scene.ask(way, &plain).await, "in the clear", "{way}");
        assert_eq!(scene.ask(way, &encrypted).await, "encrypted", "{way}");
    }
    // A session keeps its connection to the proxy, and each request goes where it says.
    let second = format!("http://{}/", scene.second.place());
    let both = format!("{plain} {second} {plain}");
    assert_eq!(
        scene.ask("session", &both).await,
        "in the clear second in the clear"
    );
}

#[tokio::test]
async fn p20_no_library_reaches_others() {
    let Some(scene) = Scene::start().await else {
        return;
    };
    let other = format!("http://{}/", scene.other.place());
    for way in ["requests", "httpx", "aiohttp"] {
        scene.refuses(way, &other, "403").await;
        scene.refuses(way, "https://unnamed.test/", "403").await;
    }
    scene.refuses("urllib", &other, "403").await;
    let gateway = format!("http://{}/healthz", scene.gateway.address);
    scene
        .refuses("requests", &gateway, "not among the hosts")
        .await;
    let metadata = "http://169.254.169.254/latest/meta-data/";
    scene
        .refuses("requests", metadata, "not among the hosts")
        .await;
    // Other spellings of what is named, and of what is not.
    for host in ["127.1", "2130706433", "0x7f000001", "[::1]", "localhost"] {
        let url = format!("http://{host}:{}/", scene.plain.port);
        scene.refuses("urllib", &url, "failed").await;
    }
    // A server that is named leads to one that is not.
    let leading = format!("http://{}/", scene.leading.place());
    for way in ["requests", "httpx", "aiohttp"] {
        scene.refuses(way, &leading, "403").await;
    }
}

#[tokio::test]
async fn p20_there_is_no_way_past_the_proxy() {
    let Some(scene) = Scene::start().await else {
        return;
    };
    assert_eq!(scene.ask("devices", "").await, "lo");
    for place in [
        scene.plain.place(),
        scene.other.place(),
        scene.gateway.address.to_string(),
        "10.255.0.1:80".to_owned(),
        "8.8.8.8:53".to_owned(),
        "169.254.169.254:80".to_owned(),
    ] {
        scene.refuses("socket", &place, "[Errno 1").await;
    }
    scene.refuses("datagram", "8.8.8.8:53", "unreachable").await;
    scene.refuses("name", "example.com", "gaierror").await;
    let place = scene.other.place();
    for (head, expected) in [
        (format!("CONNECT {place} HTTP/1.1\r\n\r\n"), "HTTP/1.1 403"),
        (
            "CONNECT a.named.test:80 HTTP/1.1\r\n\r\n".to_owned(),
            "HTTP/1.1 502",
        ),
        (
            "CONNECT named.test:80 HTTP/1.1\r\n\r\n".to_owned(),
            "HTTP/1.1 403",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "HTTP/1.1 400",
        ),
        (
            format!("GET ftp://{place}/ HTTP/1.1\r\n\r\n"),
            "HTTP/1.1 400",
        ),
        ("\u{0}\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (
            format!(
                "GET http://{place}/ HTTP/1.1\r\nHost: {}\r\n\r\n",
                scene.plain.place()
            ),
            "HTTP/1.1 403",
        ),
    ] {
        let said = scene.ask("hand", &head).await;
        assert!(said.starts_with(expected), "{head}: {said}");
    }
}

#[test]
fn a_kernel_without_namespaces_runs_no_function_that_names_hosts() {
    let launcher = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/without_calls.py");
    let unshare = match std::env::consts::ARCH {
        "x86_64" => "272",
        _ => "97",
    };
    let check = |table: &str| {
        let mut check = std::process::Command::new(python());
        check.arg(launcher).args([unshare, BINARY]);
        let settings = format!(
            "{table}\n[python]\ninterpreter = \"{}\"\nbase = false",
            python().display()
        );
        run_check(check, &settings, &source("single"))
    };
    let (said, status) = check("");
    for missing in ["hosts (network namespace: ", "processes (PID namespace: "] {
        let line = format!("warning: isolation is not in force: {missing}");
        assert!(said.contains(&line), "{said}");
    }
    assert!(said.contains("ok: function `single`"), "{said}");
    assert_eq!(status, Some(0));
    let (said, status) = check("[function.single]\nhosts = [\"api.test\"]");
    assert!(said.contains("which this machine cannot hold: "), "{said}");
    assert_eq!(status, Some(64));
}
