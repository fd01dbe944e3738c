//! Users and their keys, in Open WebUI's shapes. There are no passwords and no sessions: who calls has a key.

use axum::Json;
use axum::extract::{Extension, Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reply::{Administrator, Answer, Form, Nothing, Refusal, refuse_unknown};
use crate::auth::{Auth, Caller, KeyId, NewUser, User, Via};
use crate::config::Role;
use crate::error::Kind;
use crate::store::Store;

/// What stands for a key that is not shown: only its hash is kept.
const HIDDEN_KEY: &str = "sk-********************************";

/// What is said of a password that was sent.
const NO_PASSWORDS: &str = "the password is not used: this user signs in with the key in `token`, which is shown this once";

/// What a client sends to add a user.
#[derive(Debug, Deserialize)]
pub(super) struct UserForm {
    name: String,
    email: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    password: Option<Value>,
    /// Nothing that is unknown may seem to have been heeded: it could be a right.
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// What the fields of a user are, for whom sends others.
const FIELDS: &str = "the fields of a user are `name`, `email`, `role` and `password`";

/// What Open WebUI's clients send along, and what no user here has.
const PICTURE: &str = "profile_image_url";

fn entry(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role.as_str(),
        "profile_image_url": "",
    })
}

/// Who calls. The credential is not repeated.
pub(super) async fn whoami(Extension(caller): Extension<Caller>) -> Answer {
    let mut answer = entry(&caller.user);
    answer["token"] = json!("");
    answer["token_type"] = json!("Bearer");
    answer["expires_at"] = Value::Null;
    answer["permissions"] = json!({});
    Ok(Json(answer))
}

/// Adds a user and makes the key to sign in with.
pub(super) async fn add(
    State(auth): State<Auth>,
    Administrator(caller): Administrator,
    Form(mut form): Form<UserForm>,
) -> Answer {
    form.unknown.remove(PICTURE);
    refuse_unknown(&form.unknown, FIELDS)?;
    let role = form.role.as_deref().unwrap_or("user");
    let role = Role::parse(role).ok_or_else(|| {
        let message = format!("unknown role `{role}`: `user` and `admin` are there");
        Refusal::new(StatusCode::BAD_REQUEST, message)
    })?;
    let new = NewUser {
        name: form.name,
        email: form.email,
        role,
    };
    let user = auth.create_user(&caller, new).await.map_err(|error| {
        // Open WebUI answers so to an address that is taken.
        let is_taken = error.kind() == Kind::Conflict;
        let taken = || Refusal::new(StatusCode::BAD_REQUEST, error.to_string());
        if is_taken { taken() } else { error.into() }
    })?;
    let key = auth.create_key(&caller, &user.id).await?;
    let mut answer = entry(&user);
    answer["token"] = json!(key.text.reveal());
    answer["token_type"] = json!("Bearer");
    if form.password.is_some_and(|password| !password.is_null()) {
        answer["warning"] = json!(NO_PASSWORDS);
    }
    Ok(Json(answer))
}

/// Whether the caller has keys: their text is known to nobody any more.
pub(super) async fn read_key(
    State(auth): State<Auth>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let keys = auth.keys_of(&caller.owner.id);
    let keys: Vec<&str> = keys.iter().map(KeyId::as_str).collect();
    if keys.is_empty() {
        return Err(Refusal::not_found());
    }
    Ok(Json(json!({"api_key": HIDDEN_KEY, "keys": keys})))
}

/// Makes the caller another key. Those that are there go on working.
pub(super) async fn create_key(
    State(auth): State<Auth>,
    Extension(caller): Extension<Caller>,
    _: Nothing,
) -> Answer {
    ensure_own(&caller)?;
    let key = auth.create_key(&caller, &caller.owner.id).await?;
    Ok(Json(
        json!({"api_key": key.text.reveal(), "id": key.id.as_str()}),
    ))
}

/// Withdraws the key that the request was made with.
pub(super) async fn delete_key(
    State(auth): State<Auth>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    ensure_own(&caller)?;
    let id = caller.key_id.as_ref().ok_or_else(Refusal::not_found)?;
    auth.revoke_key(&caller, id).await?;
    Ok(Json(Value::Bool(true)))
}

/// Withdraws a key by its id.
pub(super) async fn delete_key_by_id(
    State(auth): State<Auth>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    ensure_own(&caller)?;
    auth.revoke_key(&caller, &KeyId::new(&id)).await?;
    Ok(Json(Value::Bool(true)))
}

/// A key that many people share is for none of them to change, nor to make others from.
fn ensure_own(caller: &Caller) -> Result<(), Refusal> {
    match caller.via {
        Via::Direct => Ok(()),
        Via::UiKey => Err(Refusal::prohibited()),
    }
}

pub(super) async fn list(
    State(auth): State<Auth>,
    State(store): State<Store>,
    _: Administrator,
) -> Answer {
    let rows = store
        .list_users()
        .await
        .map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let users: Vec<Value> = auth
        .users()
        .iter()
        .map(|user| {
            let row = rows.iter().find(|row| row.id == user.id);
            let mut answer = entry(user);
            answer["created_at"] = json!(row.map(|row| row.created_at));
            answer["updated_at"] = json!(row.map(|row| row.updated_at));
            answer["keys"] = json!(auth.keys_of(&user.id).len());
            answer
        })
        .collect();
    Ok(Json(json!({"total": users.len(), "users": users})))
}

pub(super) async fn delete(
    State(auth): State<Auth>,
    Administrator(caller): Administrator,
    Path(id): Path<String>,
) -> Answer {
    auth.delete_user(&caller, &id).await?;
    Ok(Json(Value::Bool(true)))
}

/// Makes a key for another user, who has lost theirs.
pub(super) async fn create_key_for(
    State(auth): State<Auth>,
    Administrator(caller): Administrator,
    Path(id): Path<String>,
    _: Nothing,
) -> Answer {
    let key = auth.create_key(&caller, &id).await?;
    Ok(Json(
        json!({"api_key": key.text.reveal(), "id": key.id.as_str()}),
    ))
}
