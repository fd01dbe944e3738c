//! What the store promises, on real files.

use std::fs;

use tempfile::TempDir;

use super::*;

fn open() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn user(id: &str) -> UserRow {
    UserRow {
        id: id.to_owned(),
        name: "A".to_owned(),
        email: "a@example".to_owned(),
        role: "user".to_owned(),
        created_at: 1,
        updated_at: 1,
    }
}

fn key(id: &str, user_id: &str, byte: u8) -> KeyRow {
    KeyRow {
        id: id.to_owned(),
        user_id: user_id.to_owned(),
        hash: [byte; 32],
        created_at: 1,
    }
}

fn function(id: &str, version_id: &str) -> FunctionRow {
    FunctionRow {
        id: id.to_owned(),
        user_id: "u".to_owned(),
        name: "F".to_owned(),
        kind: "filter".to_owned(),
        content: format!("# {version_id}"),
        meta: "{}".to_owned(),
        valves: "{}".to_owned(),
        is_active: false,
        is_global: true,
        version_id: version_id.to_owned(),
        learnt: "{}".to_owned(),
        created_at: 1,
        updated_at: 2,
    }
}

fn model(id: &str) -> ModelRow {
    ModelRow {
        id: id.to_owned(),
        user_id: "u".to_owned(),
        base_model_id: None,
        name: "M".to_owned(),
        params: "{}".to_owned(),
        meta: "{}".to_owned(),
        access_grants: "[]".to_owned(),
        is_active: true,
        created_at: 1,
        updated_at: 1,
    }
}

/// What another process would find if this one were killed now.
fn killed(folder: &TempDir) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, left.path().join(path.file_name().unwrap())).unwrap();
    }
    left
}

fn damage(folder: &TempDir) {
    fs::write(file::path(folder.path()), [0x5a; 8192]).unwrap();
}

async fn user_ids(store: &Store) -> Vec<String> {
    store
        .list_users()
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.id)
        .collect()
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    let (folder, store) = open();
    for number in 0..20 {
        store
            .insert_user(user(&format!("u{number:02}")))
            .await
            .unwrap();
        let left = killed(&folder);
        assert_eq!(
            user_ids(&Store::open(left.path()).unwrap()).await.len(),
            number + 1
        );
    }
}

#[tokio::test]
async fn two_tables_change_together_or_not_at_all() {
    let (_folder, store) = open();
    store
        .insert_user_with_key(user("a"), key("k1", "a", 1))
        .await
        .unwrap();
    let error = store
        .insert_user_with_key(user("b"), key("k2", "b", 1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    assert_eq!(user_ids(&store).await, ["a"]);
}

#[tokio::test]
async fn panic_in_a_transaction_leaves_the_store_usable() {
    let (_folder, store) = open();
    let result = store.write(|connection| -> Result<(), StoreError> {
        user("a").insert(connection)?;
        panic!("as if a function of ours had");
    });
    assert_eq!(result.await.unwrap_err().kind(), StoreErrorKind::Other);
    assert!(user_ids(&store).await.is_empty());
}

#[tokio::test]
async fn settings_of_the_connection_hold() {
    let (_folder, store) = open();
    let pragma = |name: &'static str| {
        let read = store.read(move |connection| {
            Ok(connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))?)
        });
        async move { format!("{:?}", read.await.unwrap()) }
    };
    assert_eq!(pragma("journal_mode").await, "Text(\"wal\")");
    assert_eq!(pragma("synchronous").await, "Integer(2)");
    assert_eq!(pragma("foreign_keys").await, "Integer(1)");
    assert_eq!(pragma("busy_timeout").await, "Integer(5000)");
}

#[tokio::test]
async fn full_disk_refuses_writes_and_keeps_what_is_there() {
    let (_folder, store) = open();
    let limit = |pages: u32| {
        store.read(move |connection| {
            Ok(connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
        })
    };
    store.insert_function(function("f", "v1")).await.unwrap();
    limit(1).await.unwrap();
    let large = FunctionRow {
        content: "x".repeat(100_000),
        ..function("f", "v2")
    };
    let error = store.update_function(large.clone()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    assert_eq!(store.list_functions().await.unwrap(), [function("f", "v1")]);
    limit(1_000_000).await.unwrap();
    store.update_function(large).await.unwrap();
}

#[tokio::test]
async fn database_that_another_process_keeps_locked_is_busy() {
    let (folder, store) = open();
    let other = Connection::open(file::path(folder.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // As if somebody had just waited in vain.
    store.lock().given_up_at = Some(tokio::time::Instant::now());
    let error = store.insert_user(user("a")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    assert!(user_ids(&store).await.is_empty(), "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    store.insert_user(user("a")).await.unwrap();
}

#[test]
fn folder_is_ours_until_the_last_clone_is_gone() {
    let (folder, store) = open();
    let clone = store.clone();
    drop(store);
    let error = Store::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Locked);
    drop(clone);
    Store::open(folder.path()).unwrap();
}

#[test]
fn files_are_for_our_eyes_only() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let _store = Store::open(&folder).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&folder), 0);
    assert_eq!(mode(&file::path(&folder)), 0);
    assert_eq!(mode(&copy::path(&folder)), 0);
    assert_eq!(mode(&file::companion(&folder, "-wal")), 0);
}

#[tokio::test]
async fn newer_database_is_refused_and_left_alone() {
    let (folder, store) = open();
    store
        .write(|connection| Ok(connection.pragma_update(None, "user_version", 99)?))
        .await
        .unwrap();
    drop(store);
    let error = Store::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NewerSchema);
}

#[tokio::test]
async fn damaged_database_gives_way_to_the_copy() {
    let (folder, store) = open();
    store.insert_user(user("a")).await.unwrap();
    store.keep_copy().await;
    store.insert_user(user("b")).await.unwrap();
    drop(store);
    damage(&folder);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(user_ids(&store).await, ["a"]);
    let names = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        names
            .into_iter()
            .any(|name| name.to_string_lossy().contains(".damaged-"))
    );
}

#[tokio::test]
async fn lost_database_gives_way_to_the_copy() {
    for lose in [
        |path: &Path| fs::remove_file(path).unwrap(),
        |path: &Path| fs::write(path, "").unwrap(),
    ] {
        let (folder, store) = open();
        store.insert_user(user("a")).await.unwrap();
        store.keep_copy().await;
        drop(store);
        lose(&file::path(folder.path()));
        assert_eq!(user_ids(&Store::open(folder.path()).unwrap()).await, ["a"]);
    }
}

#[test]
fn damage_without_a_copy_is_an_error_that_names_the_file() {
    let (folder, store) = open();
    drop(store);
    copy::remove(folder.path());
    damage(&folder);
    let error = Store::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("sluicegate.db"), "{error}");
}

/// What no check can see is a text that is still one: SQLite keeps no sums of values.
#[tokio::test]
async fn flipped_byte_stops_neither_the_start_nor_a_read() {
    let (folder, store) = open();
    store.insert_function(function("f", "v1")).await.unwrap();
    store.keep_copy().await;
    drop(store);
    let whole = fs::read(file::path(folder.path())).unwrap();
    let copy = fs::read(copy::path(folder.path())).unwrap();
    // Bytes 60 to 63 are the schema's number: another one there is a newer schema, which is
    // refused.
    for at in (0..whole.len())
        .step_by(199)
        .filter(|at| !(60..64).contains(at))
    {
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        fs::write(file::path(folder.path()), flipped).unwrap();
        fs::write(copy::path(folder.path()), &copy).unwrap();
        let store =
            Store::open(folder.path()).unwrap_or_else(|error| panic!("byte {at}: {error:?}"));
        store
            .list_functions()
            .await
            .unwrap_or_else(|error| panic!("byte {at}: {error:?}"));
        store
            .list_keys()
            .await
            .unwrap_or_else(|error| panic!("byte {at}: {error:?}"));
    }
}

#[tokio::test]
async fn copy_is_renewed_only_after_writes() {
    use std::os::unix::fs::MetadataExt;
    let (folder, store) = open();
    let file_number = || fs::metadata(copy::path(folder.path())).unwrap().ino();
    // Closing it for the first time moves the schema from the log to the database.
    drop(store);
    drop(Store::open(folder.path()).unwrap());
    // File times are coarse: say plainly that the database is older than the copy.
    let database = fs::File::options()
        .write(true)
        .open(file::path(folder.path()))
        .unwrap();
    database.set_modified(std::time::UNIX_EPOCH).unwrap();
    let first = file_number();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(file_number(), first);
    store.insert_user(user("a")).await.unwrap();
    drop(store);
    drop(Store::open(folder.path()).unwrap());
    assert_ne!(file_number(), first);
}

#[tokio::test]
async fn withdrawn_key_is_not_in_the_copy() {
    let (folder, store) = open();
    store
        .insert_user_with_key(user("a"), key("k1", "a", 1))
        .await
        .unwrap();
    store.keep_copy().await;
    assert!(store.delete_key("k1".to_owned()).await.unwrap());
    drop(store);
    damage(&folder);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.list_keys().await.unwrap(), []);
    assert_eq!(user_ids(&store).await, ["a"]);
}

#[tokio::test]
async fn users_leave_with_their_keys_and_valves() {
    let (_folder, store) = open();
    store
        .insert_user_with_key(user("a"), key("k1", "a", 1))
        .await
        .unwrap();
    store.insert_key(key("k2", "b", 2)).await.unwrap();
    for id in ["a", "b"] {
        store
            .set_user_valves("f".to_owned(), id.to_owned(), "{}".to_owned())
            .await
            .unwrap();
    }
    assert!(store.delete_user("a".to_owned()).await.unwrap());
    assert!(!store.delete_user("a".to_owned()).await.unwrap());
    assert_eq!(store.list_keys().await.unwrap(), [key("k2", "b", 2)]);
    let valves = store.user_valves("f".to_owned()).await.unwrap();
    assert_eq!(valves.into_keys().collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn functions_come_back_as_they_were_written() {
    let (_folder, store) = open();
    store.insert_function(function("f", "v1")).await.unwrap();
    assert_eq!(
        store.find_function("f".to_owned()).await.unwrap(),
        Some(function("f", "v1"))
    );
    assert_eq!(store.list_functions().await.unwrap(), [function("f", "v1")]);
    let taken = store
        .insert_function(function("f", "v2"))
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), StoreErrorKind::Conflict);
    let missing = store
        .update_function(function("g", "v2"))
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), StoreErrorKind::NotFound);
    assert_eq!(store.find_function("g".to_owned()).await.unwrap(), None);
}

#[tokio::test]
async fn every_upload_is_kept_and_toggles_are_no_uploads() {
    let (_folder, store) = open();
    store.insert_function(function("f", "v1")).await.unwrap();
    store.update_function(function("f", "v2")).await.unwrap();
    let toggled = FunctionRow {
        is_active: true,
        ..function("f", "v2")
    };
    store.update_function(toggled).await.unwrap();
    let versions = store.list_function_versions("f".to_owned()).await.unwrap();
    let ids: Vec<_> = versions
        .iter()
        .map(|version| version.version_id.as_str())
        .collect();
    assert_eq!(ids, ["v2", "v1"]);
    let find = |id: &str| store.find_function_version("f".to_owned(), id.to_owned());
    for version in versions {
        let found = find(&version.version_id).await.unwrap().unwrap();
        assert_eq!(found.content, format!("# {}", version.version_id));
        assert_eq!(found.row, version);
    }
    let delete = |id: &str| store.delete_function_version("f".to_owned(), id.to_owned());
    assert!(!delete("v2").await.unwrap(), "it serves");
    assert!(delete("v1").await.unwrap());
    assert_eq!(find("v1").await.unwrap(), None);
}

#[tokio::test]
async fn functions_leave_with_versions_and_user_valves() {
    let (_folder, store) = open();
    store.insert_function(function("f", "v1")).await.unwrap();
    store
        .set_user_valves("f".to_owned(), "u".to_owned(), "{}".to_owned())
        .await
        .unwrap();
    assert!(store.delete_function("f".to_owned()).await.unwrap());
    assert!(!store.delete_function("f".to_owned()).await.unwrap());
    assert_eq!(
        store.list_function_versions("f".to_owned()).await.unwrap(),
        []
    );
    assert!(store.all_user_valves().await.unwrap().is_empty());
}

#[tokio::test]
async fn user_valves_are_kept_by_function_and_user() {
    let (_folder, store) = open();
    let set = |function: &str, user: &str, valves: &str| {
        store.set_user_valves(function.to_owned(), user.to_owned(), valves.to_owned())
    };
    set("f", "a", "1").await.unwrap();
    set("f", "a", "2").await.unwrap();
    set("g", "'; DROP TABLE users; --", "3").await.unwrap();
    let all = store.all_user_valves().await.unwrap();
    assert_eq!(all["f"]["a"], "2");
    assert_eq!(all["g"]["'; DROP TABLE users; --"], "3");
    assert_eq!(store.user_valves("f".to_owned()).await.unwrap(), all["f"]);
}

#[tokio::test]
async fn models_come_back_as_they_were_written() {
    let (_folder, store) = open();
    store.insert_model(model("m")).await.unwrap();
    let preset = ModelRow {
        base_model_id: Some("b".to_owned()),
        ..model("m")
    };
    store.update_model(preset.clone()).await.unwrap();
    assert_eq!(
        store.list_models().await.unwrap(),
        std::slice::from_ref(&preset)
    );
    assert_eq!(
        store.find_model("m".to_owned()).await.unwrap(),
        Some(preset)
    );
    assert!(store.delete_model("m".to_owned()).await.unwrap());
    assert_eq!(store.find_model("m".to_owned()).await.unwrap(), None);
}

#[tokio::test]
async fn models_are_replaced_together_or_not_at_all() {
    let (_folder, store) = open();
    store.insert_model(model("old")).await.unwrap();
    store.insert_model(model("kept")).await.unwrap();
    let renamed = ModelRow {
        name: "other".to_owned(),
        ..model("kept")
    };
    let written = vec![renamed.clone(), model("new")];
    let gone = vec!["old".to_owned()];
    store.replace_models(written, gone).await.unwrap();
    let expected = [renamed, model("new")];
    assert_eq!(store.list_models().await.unwrap(), expected);
    let twice = vec![model("a"), model("a")];
    let gone = vec!["new".to_owned()];
    store.replace_models(twice, gone).await.unwrap_err();
    assert_eq!(store.list_models().await.unwrap(), expected);
}

#[tokio::test]
async fn settings_are_found_by_prefix() {
    let (_folder, store) = open();
    for (key, value) in [("a:1", "1"), ("a:2", "2"), ("a_3", "3"), ("a:1", "4")] {
        store
            .set_setting(key.to_owned(), value.to_owned())
            .await
            .unwrap();
    }
    let found = store.settings_with_prefix("a:".to_owned()).await.unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(found, [pair("a:1", "4"), pair("a:2", "2")]);
    assert!(store.delete_setting("a:1".to_owned()).await.unwrap());
    assert_eq!(store.setting("a:1".to_owned()).await.unwrap(), None);
    assert_eq!(
        store.setting("a_3".to_owned()).await.unwrap().as_deref(),
        Some("3")
    );
}
