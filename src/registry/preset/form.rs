//! What a preset is made from, as forms and exports of Open WebUI say it.

use serde_json::{Map, Value};

use crate::registry::Access;

/// Longest id of a model, in bytes.
const MAX_ID_BYTES: usize = 256;

/// What a preset is made from.
#[derive(Clone, Debug)]
pub struct PresetForm {
    /// Its id, as requests name it.
    pub id: String,
    /// The model that it uses; `None`: it is an overlay on the model of its own id.
    pub base_model_id: Option<String>,
    /// Its name for people.
    pub name: String,
    /// Parameters for every request.
    pub params: Map<String, Value>,
    /// Description, filters, actions, tools …
    pub meta: Map<String, Value>,
    /// Who may use it; `None`: nothing was said.
    pub access: Option<Access>,
    /// Whether it is on.
    pub is_active: bool,
}

impl PresetForm {
    /// Reads a form, or a row of an export, of Open WebUI 0.6 or 0.12.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for whoever sent it.
    pub fn parse(mut form: Map<String, Value>) -> Result<Self, String> {
        let id = text(&mut form, "id")?.ok_or("`id` is missing")?;
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(format!(
                "`id` must have 1 to {MAX_ID_BYTES} bytes, it has {}",
                id.len()
            ));
        }
        let about = |error: String| format!("model `{id}`: {error}");
        let access = Access::from_form(&form).map_err(about)?;
        let base = text(&mut form, "base_model_id").map_err(about)?;
        let is_active = match form.get("is_active") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(is_active)) => *is_active,
            Some(_) => return Err(about("`is_active` must be true or false".to_owned())),
        };
        Ok(Self {
            base_model_id: base.filter(|base| !base.is_empty()),
            name: text(&mut form, "name")
                .map_err(about)?
                .ok_or_else(|| about("`name` is missing".to_owned()))?,
            params: object(&mut form, "params").map_err(about)?,
            meta: object(&mut form, "meta").map_err(about)?,
            access,
            is_active,
            id,
        })
    }
}

fn text(form: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match form.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` must be a text")),
    }
}

fn object(form: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, String> {
    match form.shift_remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(format!("`{key}` must be an object")),
    }
}
