//! Lists of models: merged, kept, renewed.

use tokio::runtime::Handle;

use super::fake::{Fake, Step, answer, closed_url, json};
use super::*;
use crate::upstream::{Catalog, ModelEntry};

const TWO: &str = r#"{"data":[{"id":"a","created":7,"x":1},{"id":"b"}]}"#;

fn catalog(configs: &[UpstreamConfig], ttl: Duration) -> Catalog {
    Catalog::new(directory(configs), Handle::current(), ttl).unwrap()
}

async fn ids(catalog: &Catalog) -> Vec<String> {
    let list = timeout(LONG, catalog.list()).await.unwrap();
    list.iter().map(|entry| entry.id.clone()).collect()
}

async fn find(catalog: &Catalog, id: &str) -> Option<Arc<ModelEntry>> {
    timeout(LONG, catalog.find(id)).await.unwrap()
}

#[tokio::test]
async fn lists_are_merged_in_order_and_the_last_of_equals_serves() {
    let (first, second) = (
        Fake::answering(json(TWO)).await,
        Fake::answering(json(r#"{"data":[{"id":"b"},{"id":"c"}]}"#)).await,
    );
    let configs = [
        config("first", [&first.url]),
        config("second", [&second.url]),
    ];
    let catalog = catalog(&configs, LONG);
    assert_eq!(ids(&catalog).await, ["a", "b", "b", "c"]);
    assert_eq!(catalog.known("a").unwrap().upstream, 0);
    assert_eq!(catalog.known("b").unwrap().upstream, 1);
}

#[tokio::test]
async fn an_entry_keeps_what_the_upstream_says_and_gets_our_prefix() {
    let mut server = Fake::answering(json(TWO)).await;
    let mut config = config("pool", [&server.url]);
    config.prefix = "pre".to_owned();
    let catalog = catalog(&[config], LONG);
    let entry = find(&catalog, "pre.a").await.unwrap();
    assert_eq!(entry.upstream_id, "a");
    assert_eq!((entry.name.as_str(), entry.owned_by), ("pre.a", "openai"));
    assert_eq!(entry.created, 7);
    assert_eq!(entry.raw["x"], 1);
    assert!(catalog.known("a").is_none());
    let (head, _) = server.request().await;
    assert!(head.starts_with("GET /v1/models HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("authorization: Bearer sk-canary\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn ollama_lists_tags() {
    let tags = r#"{"models":[{"name":"llama3:latest","model":"llama3:latest"}]}"#;
    let mut server = Fake::answering(json(tags)).await;
    let mut config = config("pool", &[server.url.replace("/v1", "")]);
    config.kind = UpstreamKind::Ollama;
    let entry = find(&catalog(&[config], LONG), "llama3:latest").await;
    assert_eq!(entry.unwrap().owned_by, "ollama");
    assert!(server.request().await.0.starts_with("GET /api/tags "));
}

#[tokio::test]
async fn a_list_is_asked_for_once_by_many() {
    let mut server = Fake::answering(json(TWO)).await;
    let catalog = catalog(&[config("pool", [&server.url])], LONG);
    let all = (0..20).map(|_| ids(&catalog));
    for ids in futures_util::future::join_all(all).await {
        assert_eq!(ids, ["a", "b"]);
    }
    ids(&catalog).await;
    assert_eq!(server.counts().1, 1);
}

#[tokio::test]
async fn the_last_good_list_stays_while_the_upstream_is_down() {
    let server = Fake::scripted(|nth| {
        vec![Step::Send(match nth {
            0 => json(TWO),
            _ => answer("500 Oops", "", ""),
        })]
    })
    .await;
    let catalog = catalog(&[config("pool", [&server.url])], LONG);
    assert_eq!(ids(&catalog).await, ["a", "b"]);
    catalog.refresh().await;
    assert_eq!(ids(&catalog).await, ["a", "b"]);
    assert!(catalog.known("a").is_some());
}

#[tokio::test]
async fn a_dead_upstream_does_not_hide_the_others() {
    let server = Fake::answering(json(TWO)).await;
    let hung = Fake::scripted(|_| vec![Step::Hang]).await;
    let configs = [
        config("dead", &[closed_url().await]),
        config("hung", [&hung.url]),
        config("live", [&server.url]),
    ];
    let catalog = catalog(&configs, LONG);
    assert_eq!(find(&catalog, "a").await.unwrap().upstream, 2);
}

#[tokio::test]
async fn an_unknown_id_asks_again_but_not_every_time() {
    let mut server = Fake::scripted(|nth| {
        vec![Step::Send(match nth {
            0 => json(TWO),
            _ => json(r#"{"data":[{"id":"new"}]}"#),
        })]
    })
    .await;
    let catalog = catalog(&[config("pool", [&server.url])], LONG);
    assert_eq!(ids(&catalog).await, ["a", "b"]);
    assert!(find(&catalog, "new").await.is_some());
    for _ in 0..10 {
        assert!(find(&catalog, "never").await.is_none());
    }
    assert!(server.counts().1 <= 3, "ten misses are not ten requests");
}

#[tokio::test]
async fn an_old_list_is_renewed_behind_the_back_of_who_asks() {
    let mut server = Fake::answering(json(TWO)).await;
    let catalog = catalog(&[config("pool", [&server.url])], Duration::from_millis(1));
    ids(&catalog).await;
    server.request().await;
    // Sooner or later the list is older than a millisecond, and asking for it asks the server.
    let keep_asking = async {
        loop {
            assert!(catalog.known("a").is_some());
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = server.request() => {}
        () = keep_asking => {}
    }
}

#[tokio::test]
async fn a_group_is_asked_until_a_member_answers() {
    let server = Fake::answering(json(TWO)).await;
    let urls = [closed_url().await, server.url.clone()];
    let catalog = catalog(&[config("pool", &urls)], LONG);
    assert_eq!(ids(&catalog).await, ["a", "b"]);
}

#[tokio::test]
async fn models_that_are_written_down_need_no_asking() {
    let mut config = config("pool", &[closed_url().await]);
    config.models = vec!["x".to_owned(), "y".to_owned()];
    assert_eq!(ids(&catalog(&[config], LONG)).await, ["x", "y"]);
}

#[tokio::test]
async fn a_star_takes_any_id_that_nobody_lists() {
    let server = Fake::answering(json(TWO)).await;
    let mut any = config("any", &[closed_url().await]);
    any.models = vec!["*".to_owned()];
    any.prefix = "any".to_owned();
    let catalog = catalog(&[any, config("live", [&server.url])], LONG);
    let taken = find(&catalog, "any.thing").await.unwrap();
    assert_eq!((taken.upstream, taken.upstream_id.as_str()), (0, "thing"));
    assert_eq!(find(&catalog, "a").await.unwrap().upstream, 1);
    assert!(find(&catalog, "thing").await.is_none());
}

#[tokio::test]
async fn the_demo_model_lists_itself() {
    let mut config = config("demo", &[]);
    config.kind = UpstreamKind::Embedded;
    assert_eq!(ids(&catalog(&[config], LONG)).await, ["demo", "demo-tools"]);
}

#[tokio::test]
async fn a_list_that_is_too_long_or_none_is_refused() {
    let long = format!(r#"{{"data":["{}"]}}"#, "x".repeat(9 << 20));
    for body in [long.as_str(), "[]", "{\"data\":1}", "<html>"] {
        let server = Fake::answering(json(body)).await;
        let catalog = catalog(&[config("pool", [&server.url])], LONG);
        assert!(ids(&catalog).await.is_empty());
    }
}
