//! The samples of a connector: what must be sent for a record, and how the answers are read.

use super::super::{
    Connector, Facts, Finding, Moment, Operation, Request, Response, Session, Verdict,
};
use crate::blob::Blob;
use crate::record::Appearance;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Time of all samples: 2014-09-18T00:00:00Z.
const SAMPLE_MS: i64 = 1_410_998_400_000;
const SAMPLE_NONCE: &str = "00112233445566778899aabbccddeeff";

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRequests {
    operation: String,
    #[serde(default)]
    given: Given,
    #[serde(default)]
    requests: Vec<Value>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    session: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleResponse {
    status: u16,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    /// Written in the charset that the content type names.
    #[serde(default)]
    body: Value,
}

impl From<SampleResponse> for Response {
    fn from(sample: SampleResponse) -> Self {
        let headers: Vec<(String, String)> = sample
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let text = match sample.body {
            Value::String(text) => text,
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let mut response = Self {
            status: sample.status,
            headers,
            body: Bytes::new(),
        };
        let charset = response
            .header("content-type")
            .and_then(|it| it.split("charset=").nth(1))
            .and_then(super::super::response::encoding_named)
            .unwrap_or(encoding_rs::UTF_8);
        response.body = Bytes::from(charset.encode(&text).0.into_owned());
        response
    }
}

/// One sample as the conformance kit plays it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its name.
    pub case: String,
    /// What is done.
    pub operation: Operation,
    /// The canonical record.
    pub record: Value,
    /// What the platform answers, in order.
    pub answers: Vec<Response>,
}

/// Reads all samples of the folder `dir`; what cannot be read is for [`super::check`] to tell.
pub fn read_samples(dir: &Path) -> Vec<Sample> {
    let read = |case: &String| {
        let samples = Samples { dir, case };
        let expected: ExpectedRequests = samples.read("request").ok()?;
        let responses: Vec<SampleResponse> = samples.read("response").ok()?;
        Some(Sample {
            operation: Operation::parse(&expected.operation)?,
            record: samples.read("record").ok()?,
            answers: responses.into_iter().map(Response::from).collect(),
            case: case.clone(),
        })
    };
    cases(dir).iter().filter_map(read).collect()
}

/// Reads `samples/login.response.json`: what the platform answers to a login.
///
/// # Errors
/// When there is none, or it is not one answer.
pub fn read_login(dir: &Path) -> Result<Response, Finding> {
    let samples = Samples { dir, case: "login" };
    let answers: Vec<SampleResponse> = samples.read("response")?;
    let first = answers.into_iter().next().map(Response::from);
    first.ok_or_else(|| samples.finding("response", "", "one answer is needed"))
}

/// Names of the cases under `samples/`, sorted.
pub(super) fn cases(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.join("samples")) else {
        return Vec::new();
    };
    let mut cases: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".record.json").map(ToOwned::to_owned)
        })
        .collect();
    cases.sort();
    cases
}

pub(super) fn run_case(
    connector: &Connector,
    dir: &Path,
    case: &str,
    accept: bool,
) -> Result<Operation, Finding> {
    let samples = Samples { dir, case };
    let record: Value = samples.read("record")?;
    let expected: ExpectedRequests = samples.read("request")?;
    let responses: Vec<SampleResponse> = samples.read("response")?;
    let operation = Operation::parse(&expected.operation)
        .ok_or_else(|| samples.finding("request", "operation", "no operation of this name"))?;
    if let Some(error) = connector.contract_errors(&record).first() {
        let place = error.pointer.clone();
        return Err(samples.finding(
            "record",
            &place,
            &format!("against the contract: {}", error.detail),
        ));
    }
    if !connector.takes(&minijinja::Value::from(minijinja::value::Serde(&record))) {
        return Err(samples.finding(
            "record",
            "",
            "`connector.takes` says that this record does not belong here",
        ));
    }
    let responses = responses.into_iter().map(Response::from).collect();
    let actual = play(connector, &record, operation, &expected.given, responses)
        .map_err(|problem| samples.finding("request", "", &problem))?;
    if accept {
        let requests = ExpectedRequests {
            requests: actual.requests,
            ..expected
        };
        samples.write("request", &json!(requests))?;
        samples.write("outcome", &actual.outcome)?;
        return Ok(operation);
    }
    let outcome: Value = samples.read("outcome")?;
    samples.compare(
        "request",
        "/requests",
        &json!(expected.requests),
        &json!(actual.requests),
    )?;
    samples.compare("outcome", "", &outcome, &actual.outcome)?;
    Ok(operation)
}

struct Played {
    requests: Vec<Value>,
    outcome: Value,
}

/// Goes through an operation with canned answers.
fn play(
    connector: &Connector,
    record: &Value,
    operation: Operation,
    given: &Given,
    responses: Vec<Response>,
) -> Result<Played, String> {
    let mut facts = sample_facts(record, given);
    let session = Session {
        values: given.session.clone(),
        expires_at_ms: None,
    };
    let moment = Moment {
        now_ms: SAMPLE_MS,
        nonce: SAMPLE_NONCE.to_owned(),
    };
    let mut responses = responses.into_iter();
    let mut requests = Vec::new();
    let mut outcome = json!({});
    'steps: for step in connector.steps(operation) {
        for item in connector
            .items(step, &facts)
            .map_err(|error| error.to_string())?
        {
            let request = connector
                .request(step, &facts, item.as_ref(), &session, &moment)
                .map_err(|error| error.to_string())?;
            requests.push(shown(&step.name, &request));
            let Some(response) = responses.next() else {
                return Err(format!(
                    "step `{}` sends request {} but response.json has fewer answers",
                    step.name,
                    requests.len()
                ));
            };
            if let Some(mistake) = connector.mistakes(step, &response).into_iter().next() {
                return Err(format!(
                    "step `{}`: a rule or capture cannot work: {mistake}",
                    step.name
                ));
            }
            let judgement = connector.judge(step, &response, SAMPLE_MS);
            facts.take_over(&judgement.captured);
            outcome = json!({
                "verdict": judgement.verdict, "code": judgement.code,
                "message": judgement.message, "captured": facts.captured,
            });
            if !matches!(judgement.verdict, Verdict::Ok | Verdict::Duplicate) {
                break 'steps;
            }
        }
    }
    if operation == Operation::ReadBack {
        let appearance = connector.appearance(operation, &facts);
        outcome["confirmed"] = (appearance == Appearance::Confirmed).into();
        outcome["appearance"] = json!(appearance);
    }
    Ok(Played { requests, outcome })
}

fn sample_facts(record: &Value, given: &Given) -> Facts {
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let files = record["attachments"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|attachment| attachment["sha256"].as_str())
        .map(|sha256| (sha256.to_owned(), Blob::from(b"sample".to_vec())))
        .collect();
    Facts {
        record: minijinja::Value::from(minijinja::value::Serde(record)),
        key: text("id"),
        version: record["version"].as_i64().unwrap_or(1),
        remote_id: given.remote_id.clone(),
        remote_url: given.remote_url.clone(),
        reason: given.reason.clone(),
        captured: Map::new(),
        files,
    }
}

/// A request as it stands in `request.json`: JSON bodies as JSON, others line by line.
fn shown(step: &str, request: &Request) -> Value {
    let body = serde_json::from_str::<Value>(&request.shown_body)
        .ok()
        .filter(|value| value.is_object() || value.is_array())
        .unwrap_or_else(|| request.shown_body.lines().collect());
    let headers: Map<String, Value> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    json!({
        "step": step, "method": request.method, "url": request.url.as_str(),
        "headers": headers, "body": body,
    })
}

struct Samples<'a> {
    dir: &'a Path,
    case: &'a str,
}

impl Samples<'_> {
    fn name(&self, kind: &str) -> String {
        format!("samples/{}.{kind}.json", self.case)
    }

    fn finding(&self, kind: &str, place: &str, problem: &str) -> Finding {
        Finding {
            file: self.name(kind),
            place: place.to_owned(),
            problem: problem.to_owned(),
        }
    }

    fn read<T: serde::de::DeserializeOwned>(&self, kind: &str) -> Result<T, Finding> {
        let text = std::fs::read_to_string(self.dir.join(self.name(kind)))
            .map_err(|error| self.finding(kind, "", &error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            self.finding(kind, &place, &error.to_string())
        })
    }

    fn write(&self, kind: &str, value: &Value) -> Result<(), Finding> {
        std::fs::write(self.dir.join(self.name(kind)), format!("{value:#}\n"))
            .map_err(|error| self.finding(kind, "", &error.to_string()))
    }

    fn compare(
        &self,
        kind: &str,
        place: &str,
        expected: &Value,
        actual: &Value,
    ) -> Result<(), Finding> {
        match first_difference(place, expected, actual) {
            None => Ok(()),
            Some((place, problem)) => Err(self.finding(kind, &place, &problem)),
        }
    }
}

/// Returns the JSON pointer of the first difference and what differs there.
fn first_difference(place: &str, expected: &Value, actual: &Value) -> Option<(String, String)> {
    match (expected, actual) {
        (Value::Object(left), Value::Object(right)) => {
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter().find_map(|key| {
                let none = Value::Null;
                let (left, right) = (
                    left.get(key).unwrap_or(&none),
                    right.get(key).unwrap_or(&none),
                );
                first_difference(&format!("{place}/{key}"), left, right)
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| {
                first_difference(&format!("{place}/{index}"), left, right)
            }),
        _ if expected == actual => None,
        _ => {
            let cut = |value: &Value| value.to_string().chars().take(400).collect::<String>();
            let problem = format!(
                "expected {}, got {}; if the new one is right, run `synchub connector test --accept`",
                cut(expected),
                cut(actual)
            );
            Some((place.to_owned(), problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_place() {
        let left = json!({"a": [1, {"b": "x"}], "c": 1});
        assert_eq!(first_difference("", &left, &left.clone()), None);
        let right = json!({"a": [1, {"b": "y"}], "c": 1});
        let (place, problem) = first_difference("", &left, &right).expect("differs");
        assert_eq!(place, "/a/1/b");
        assert!(problem.contains("\"x\"") && problem.contains("\"y\""));
        assert_eq!(
            first_difference("", &json!({"a": 1}), &json!({}))
                .expect("differs")
                .0,
            "/a"
        );
    }
}
