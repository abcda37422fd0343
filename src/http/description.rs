//! `/openapi.json`: made from the handlers, and completed here with what all of them share.

use crate::intake::{RECORD_SCHEMA, SUBMISSION_SCHEMA};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

/// Media type of all errors (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// Errors that every call under `/v1` may answer, whatever it does.
const COMMON: [(&str, &str); 6] = [
    ("400", "The request is not right"),
    ("401", "No valid API key"),
    ("403", "The caller may not do this"),
    ("405", "The address does not take this method"),
    ("413", "The body is too large"),
    (
        "503",
        "Too busy, or the database does not answer; try again later",
    ),
];

#[derive(OpenApi)]
#[openapi(info(
    title = "synchub 一录通",
    description = "Enter once in the OA, appear on every platform."
))]
struct Description;

/// Returns the description before any route.
pub(super) fn begin() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// Returns the whole description, with the schemas that bodies are validated against.
pub(super) fn complete(openapi: utoipa::openapi::OpenApi) -> Value {
    let mut description = serde_json::to_value(openapi).unwrap_or_default();
    for (name, schema) in [("Submission", SUBMISSION_SCHEMA), ("Record", RECORD_SCHEMA)] {
        description["components"]["schemas"][name] = embedded(name, schema);
    }
    description["components"]["securitySchemes"]["key"] =
        json!({"type": "http", "scheme": "bearer"});
    description["security"] = json!([{"key": []}]);
    complete_shapes(&mut description["paths"]["/v1/submissions"]["post"]);
    let paths = description["paths"].as_object_mut().into_iter().flatten();
    for (path, operations) in paths {
        let operations = operations.as_object_mut().into_iter().flatten();
        for (_, operation) in operations {
            if let Some(responses) = operation["responses"].as_object_mut() {
                complete_errors(responses, path.starts_with("/v1/"));
            }
        }
    }
    description
}

/// Submissions come in many shapes, and a source profile may answer in its own.
fn complete_shapes(operation: &mut Value) {
    let form = json!({
        "type": "object",
        "description": "Members of a native submission, `entry` as JSON; or what the source profile takes",
        "additionalProperties": {"type": "string"},
    });
    let xml =
        json!({"type": "object", "description": "What the source profile takes; no document type"});
    let taken = &mut operation["requestBody"]["content"];
    taken["application/json"]["schema"] = json!({"$ref": "#/components/schemas/Submission"});
    taken["application/x-www-form-urlencoded"]["schema"] = form.clone();
    taken["multipart/form-data"]["schema"] = form;
    taken["application/xml"]["schema"] = xml.clone();
    taken["text/xml"]["schema"] = xml;
    let responses = operation["responses"].as_object_mut();
    for (status, response) in responses.into_iter().flatten() {
        let words = "With a source profile that has an answer of its own: a flag and a sentence";
        response["content"]["text/xml"]["schema"] = json!({"type": "string", "description": words});
        if !status.starts_with('2') {
            response["content"][PROBLEM] = response["content"]["application/json"].take();
            response["content"]["application/json"] =
                json!({"schema": {"type": "object", "description": words}});
        }
    }
}

/// Errors are problems, whoever answers them.
fn complete_errors(responses: &mut Map<String, Value>, is_protected: bool) {
    if !is_protected {
        return;
    }
    for (status, words) in COMMON {
        responses.entry(status).or_insert_with(|| {
            json!({
                "description": words,
                "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            })
        });
    }
    for (status, response) in responses {
        let is_error = status.starts_with(['4', '5']);
        if let Some(content) = response["content"].as_object_mut().filter(|_| is_error)
            && !content.contains_key(PROBLEM)
            && let Some(schema) = content.remove("application/json")
        {
            content.insert(PROBLEM.to_owned(), schema);
        }
    }
}

/// Returns a schema whose references reach its own definitions from inside the description.
fn embedded(name: &str, schema: &str) -> Value {
    let inside = format!("\"#/components/schemas/{name}/$defs/");
    let schema = schema.replace("\"#/$defs/", &inside);
    let mut schema: Value = serde_json::from_str(&schema).unwrap_or_default();
    if let Some(schema) = schema.as_object_mut() {
        // Inside another document these would name it anew.
        schema.shift_remove("$schema");
        schema.shift_remove("$id");
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_error_is_a_problem() {
        let description = complete(super::super::api().split_for_parts().1);
        let text = description.to_string();
        let mut seen = 0;
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(description.pointer(pointer).is_some(), "{pointer}");
            seen += 1;
        }
        assert!(seen > 20);
        for (path, operations) in description["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let is_error = status.starts_with(['4', '5']) && path.starts_with("/v1/");
                    assert!(
                        !is_error || response["content"][PROBLEM].is_object(),
                        "{method} {path} {status}"
                    );
                }
            }
        }
    }
}
