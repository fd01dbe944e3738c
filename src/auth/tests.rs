//! What callers may and may not do, on a real store.

mod timing;

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::{Config, Role, Secret, Sources, UserConfig};

const PROXY: &str = "10.0.0.1";
const STRANGER: &str = "10.0.0.2";

fn configured(id: &str, role: Role, key: &str) -> UserConfig {
    UserConfig {
        id: id.to_owned(),
        name: id.to_uppercase(),
        email: format!("{id}@example"),
        role,
        api_key: Some(Secret::new(key)),
    }
}

fn config() -> Config {
    let flags = [("trusted_proxies", PROXY.to_owned())].into();
    let sources = Sources {
        flags,
        ..Sources::default()
    };
    Config {
        users: vec![
            configured("root", Role::Admin, "root-key"),
            configured("alice", Role::User, "alice-key"),
        ],
        ..crate::config::load(&sources).unwrap()
    }
}

fn nobody() -> Config {
    Config {
        users: Vec::new(),
        ..config()
    }
}

async fn start(config: &Config) -> (TempDir, Auth, Option<NewKey>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (auth, first_key) = Auth::new(config, &store).await.unwrap();
    (folder, auth, first_key)
}

async fn restart(folder: &TempDir, auth: Auth, config: &Config) -> (Auth, Option<NewKey>) {
    drop(auth);
    Auth::new(config, &Store::open(folder.path()).unwrap())
        .await
        .unwrap()
}

fn ask(auth: &Auth, peer: &str, sent: &[(&'static str, &str)]) -> Result<Caller> {
    let mut headers = HeaderMap::new();
    for (name, value) in sent {
        headers.append(*name, value.parse().unwrap());
    }
    auth.authenticate(&headers, peer.parse().unwrap())
}

fn with_key(auth: &Auth, key: &str) -> Result<Caller> {
    ask(
        auth,
        STRANGER,
        &[("authorization", &format!("Bearer {key}"))],
    )
}

fn kind<T: fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.to_owned(),
        email: format!("{name}@Example"),
        role: Role::User,
    }
}

#[tokio::test]
async fn every_form_of_credential_gives_the_same_caller() {
    let (_folder, auth, _) = start(&config()).await;
    let bearer = with_key(&auth, "alice-key").unwrap();
    let header = ask(&auth, STRANGER, &[("x-api-key", "alice-key")]).unwrap();
    for caller in [bearer, header] {
        assert_eq!(
            (caller.user.id.as_str(), caller.rights),
            ("alice", Role::User)
        );
        assert_eq!(
            (caller.user.name.as_str(), caller.via),
            ("ALICE", Via::Direct)
        );
        assert!(caller.key_id.is_some());
    }
}

#[tokio::test]
async fn refusals_say_only_what_they_must() {
    let (_folder, auth, _) = start(&config()).await;
    let none = ask(&auth, STRANGER, &[]).unwrap_err();
    assert_eq!(
        (none.kind(), none.message()),
        (Kind::MissingCredential, "Not authenticated")
    );
    let long = "a".repeat(65_536);
    for key in ["alice-kez", "sk-0123", "' OR 1=1 --", "\"", &long] {
        let unknown = with_key(&auth, key).unwrap_err();
        assert_eq!(unknown.kind(), Kind::UnknownCredential);
        assert!(unknown.message().starts_with("Your session has expired"));
    }
    let two = ask(
        &auth,
        STRANGER,
        &[
            ("authorization", "Bearer alice-key"),
            ("x-api-key", "root-key"),
        ],
    );
    assert_eq!(kind(two), Kind::InvalidRequest);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_an_unknown_key() {
    let (_folder, auth, _) = start(&config()).await;
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-api-key",
        http::HeaderValue::from_bytes(b"alice-key\xff").unwrap(),
    );
    let result = auth.authenticate(&headers, STRANGER.parse().unwrap());
    assert_eq!(kind(result), Kind::UnknownCredential);
}

#[tokio::test]
async fn open_mode_asks_for_nothing_but_checks_what_is_sent() {
    let mut open = config();
    open.auth.mode = AuthMode::Open;
    let (_folder, auth, _) = start(&open).await;
    let caller = ask(&auth, STRANGER, &[]).unwrap();
    assert_eq!(
        (caller.user.id.as_str(), caller.rights),
        ("anonymous", Role::User)
    );
    assert_eq!(
        kind(auth.create_key(&caller, "anonymous").await),
        Kind::Forbidden
    );
    assert_eq!(kind(with_key(&auth, "wrong")), Kind::UnknownCredential);
    assert_eq!(with_key(&auth, "root-key").unwrap().rights, Role::Admin);
}

#[tokio::test]
async fn trusted_proxy_names_the_user_and_lends_no_rights() {
    let (_folder, auth, _) = start(&config()).await;
    let sent = [
        ("authorization", "Bearer alice-key"),
        ("x-openwebui-user-id", "root"),
        ("x-openwebui-user-name", "J%C3%BCrgen M"),
        ("x-openwebui-user-email", "j%40example"),
        ("x-openwebui-user-role", "admin"),
    ];
    for peer in [PROXY, "::ffff:10.0.0.1"] {
        let caller = ask(&auth, peer, &sent).unwrap();
        let expected = User {
            id: "root".to_owned(),
            name: "Jürgen M".to_owned(),
            email: "j@example".to_owned(),
            role: Role::Admin,
        };
        assert_eq!((&*caller.user, caller.via), (&expected, Via::UiKey));
        assert_eq!(
            (caller.owner.id.as_str(), caller.rights),
            ("alice", Role::User)
        );
        assert_eq!(
            kind(auth.create_user(&caller, new_user("x")).await),
            Kind::Forbidden
        );
        assert_eq!(
            kind(auth.create_key(&caller, "root").await),
            Kind::Forbidden
        );
    }
    let caller = ask(&auth, STRANGER, &sent).unwrap();
    assert_eq!(
        (caller.user.id.as_str(), caller.via),
        ("alice", Via::Direct)
    );
    assert_eq!(kind(ask(&auth, PROXY, &sent[1..])), Kind::MissingCredential);
}

#[tokio::test]
async fn trusted_proxy_that_names_two_users_is_refused() {
    let (_folder, auth, _) = start(&config()).await;
    let key = ("x-api-key", "alice-key");
    let sent = [
        key,
        ("x-openwebui-user-id", "a"),
        ("x-openwebui-user-id", "b"),
    ];
    assert_eq!(kind(ask(&auth, PROXY, &sent)), Kind::InvalidRequest);
    let caller = ask(&auth, PROXY, &[key, ("x-openwebui-user-id", "")]).unwrap();
    assert_eq!(caller.via, Via::Direct);
}

#[tokio::test]
async fn first_start_makes_an_admin_key_once() {
    let (folder, auth, first_key) = start(&nobody()).await;
    let key = first_key.unwrap();
    let caller = with_key(&auth, key.text.reveal()).unwrap();
    assert_eq!(
        (caller.user.email.as_str(), caller.rights),
        ("admin@localhost", Role::Admin)
    );
    let (auth, second) = restart(&folder, auth, &nobody()).await;
    assert!(second.is_none());
    assert_eq!(with_key(&auth, key.text.reveal()).unwrap().user.id, "admin");
}

#[tokio::test]
async fn admin_key_of_the_settings_holds_while_it_is_set() {
    let mut with_admin_key = nobody();
    with_admin_key.auth.admin_key = Some(Secret::new("from-env"));
    let (folder, auth, first_key) = start(&with_admin_key).await;
    assert!(first_key.is_none());
    assert_eq!(with_key(&auth, "from-env").unwrap().rights, Role::Admin);
    let (auth, _) = restart(&folder, auth, &config()).await;
    assert_eq!(kind(with_key(&auth, "from-env")), Kind::UnknownCredential);
}

#[tokio::test]
async fn set_up_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let twins = vec![
        configured("a", Role::Admin, "same"),
        configured("b", Role::User, "same"),
    ];
    let error = Auth::new(
        &Config {
            users: twins,
            ..config()
        },
        &store,
    )
    .await
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("users `a` and `b` have the same key"),
        "{error}"
    );
    let admin = vec![configured("admin", Role::User, "x")];
    let error = Auth::new(
        &Config {
            users: admin,
            ..config()
        },
        &store,
    )
    .await
    .unwrap_err();
    assert!(
        error.to_string().contains("user `admin` has role: user"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_work_from_the_next_request_until_they_are_revoked() {
    let (folder, auth, _) = start(&config()).await;
    let root = with_key(&auth, "root-key").unwrap();
    let user = auth.create_user(&root, new_user("Bob")).await.unwrap();
    let key = auth.create_key(&root, &user.id).await.unwrap();
    assert_eq!(with_key(&auth, key.text.reveal()).unwrap().user, user);
    auth.revoke_key(&root, &key.id).await.unwrap();
    assert_eq!(
        kind(with_key(&auth, key.text.reveal())),
        Kind::UnknownCredential
    );
    let other = auth.create_key(&root, &user.id).await.unwrap();
    let (auth, _) = restart(&folder, auth, &config()).await;
    assert_eq!(
        kind(with_key(&auth, key.text.reveal())),
        Kind::UnknownCredential
    );
    assert_eq!(with_key(&auth, other.text.reveal()).unwrap().user, user);
}

#[tokio::test]
async fn what_an_old_directory_remembers_does_not_outlive_it() {
    let (_folder, auth, _) = start(&config()).await;
    let root = with_key(&auth, "root-key").unwrap();
    let key = auth.create_key(&root, "alice").await.unwrap();
    // A request that took its directory before the key was revoked, and checks after.
    let before = auth.directory();
    auth.revoke_key(&root, &key.id).await.unwrap();
    assert!(before.verify(key.text.reveal().as_bytes()).is_some());
    assert_eq!(
        kind(with_key(&auth, key.text.reveal())),
        Kind::UnknownCredential
    );
}

#[tokio::test]
async fn change_is_finished_when_its_client_leaves() {
    let (_folder, auth, _) = start(&config()).await;
    let root = with_key(&auth, "root-key").unwrap();
    let key = auth.create_key(&root, "alice").await.unwrap();
    let mut revoking = Box::pin(auth.revoke_key(&root, &key.id));
    assert!(
        poll_once(&mut revoking).await.is_none(),
        "it waits for the store"
    );
    drop(revoking);
    // The next change has its turn only after the one that was left alone.
    auth.create_user(&root, new_user("Bob")).await.unwrap();
    assert_eq!(
        kind(with_key(&auth, key.text.reveal())),
        Kind::UnknownCredential
    );
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        let polled = std::pin::Pin::new(&mut *future).poll(context);
        std::task::Poll::Ready(match polled {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn users_leave_with_all_keys() {
    let (_folder, auth, _) = start(&config()).await;
    let root = with_key(&auth, "root-key").unwrap();
    let user = auth.create_user(&root, new_user("Bob")).await.unwrap();
    let key = auth.create_key(&root, &user.id).await.unwrap();
    let bob = with_key(&auth, key.text.reveal()).unwrap();
    auth.delete_user(&root, &user.id).await.unwrap();
    assert_eq!(
        kind(with_key(&auth, key.text.reveal())),
        Kind::UnknownCredential
    );
    // Bob's request began before, and gets nowhere.
    assert_eq!(
        kind(auth.create_key(&bob, &user.id).await),
        Kind::UnknownCredential
    );
    assert_eq!(
        kind(auth.delete_user(&root, &user.id).await),
        Kind::NotFound
    );
    assert!(auth.user(&user.id).is_none());
}

#[tokio::test]
async fn nobody_grants_more_than_they_have() {
    let (_folder, auth, _) = start(&config()).await;
    let root = with_key(&auth, "root-key").unwrap();
    let alice = with_key(&auth, "alice-key").unwrap();
    let bob = auth.create_user(&root, new_user("Bob")).await.unwrap();
    let bobs = auth.create_key(&root, &bob.id).await.unwrap();
    for role in [Role::User, Role::Admin] {
        let new = NewUser {
            role,
            ..new_user("Eve")
        };
        assert_eq!(kind(auth.create_user(&alice, new).await), Kind::Forbidden);
    }
    for id in [bob.id.as_str(), "root", "nobody"] {
        assert_eq!(kind(auth.create_key(&alice, id).await), Kind::Forbidden);
        assert_eq!(kind(auth.delete_user(&alice, id).await), Kind::Forbidden);
    }
    for id in [&bobs.id, &KeyId::new("none")] {
        assert_eq!(kind(auth.revoke_key(&alice, id).await), Kind::Forbidden);
    }
    let own = auth.create_key(&alice, "alice").await.unwrap();
    assert_eq!(
        with_key(&auth, own.text.reveal()).unwrap().rights,
        Role::User
    );
    auth.revoke_key(&alice, &own.id).await.unwrap();
}

#[tokio::test]
async fn changes_that_cannot_be_made_say_why() {
    let (_folder, auth, _) = start(&config()).await;
    let root = with_key(&auth, "root-key").unwrap();
    assert_eq!(
        kind(auth.create_user(&root, new_user(" ")).await),
        Kind::InvalidRequest
    );
    assert_eq!(
        kind(auth.create_user(&root, new_user("ALICE")).await),
        Kind::Conflict
    );
    assert_eq!(kind(auth.create_key(&root, "nobody").await), Kind::NotFound);
    assert_eq!(kind(auth.delete_user(&root, "alice").await), Kind::Conflict);
    let configured = auth.keys_of("alice");
    assert_eq!(
        kind(auth.revoke_key(&root, &configured[0]).await),
        Kind::Conflict
    );
    assert_eq!(
        kind(auth.revoke_key(&root, &KeyId::new("none")).await),
        Kind::NotFound
    );
}

#[tokio::test]
async fn configuration_wins_over_the_store() {
    let (folder, auth, first_key) = start(&nobody()).await;
    let users = vec![configured("admin", Role::Admin, "new-key")];
    let (auth, none) = restart(&folder, auth, &Config { users, ..config() }).await;
    assert!(none.is_none());
    let stored = with_key(&auth, first_key.unwrap().text.reveal()).unwrap();
    assert_eq!(
        (stored.user.name.as_str(), stored.rights),
        ("ADMIN", Role::Admin)
    );
    assert_eq!(auth.users().len(), 1);
}

#[tokio::test]
async fn only_hashes_are_in_the_files() {
    let (folder, auth, first_key) = start(&nobody()).await;
    let text = first_key.unwrap().text.reveal().to_owned();
    let hash = key::KeyHash::of(text.as_bytes()).0;
    auth.0.store.keep_copy().await;
    let mut hashes = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!has(text.as_bytes()) && !has(&text.as_bytes()[3..]));
        hashes += usize::from(has(&hash));
    }
    assert!(hashes >= 2, "in the log and in the copy");
}
