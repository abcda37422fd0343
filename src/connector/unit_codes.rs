//! What a platform calls the units, as `unit_codes` in templates.

use minijinja::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Unit's own code → its code on the platform.
#[derive(Debug, Clone)]
pub(super) enum UnitCodes {
    /// As the registry says.
    Known(BTreeMap<String, String>),
    /// In checks and samples, which belong to no city: every unit has its own code.
    Own,
}

impl minijinja::value::Object for UnitCodes {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.as_ref() {
            Self::Known(codes) => codes.get(key.as_str()?).map(Value::from),
            Self::Own => key.as_str().map(Value::from),
        }
    }
}
