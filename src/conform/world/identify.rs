//! Which step of the connector a request belongs to.

use super::super::server::Raw;
use super::{Kind, REASON, Seen, World};
use crate::connector::{Facts, Moment, Operation, Request, Session};

/// A request that the hub may make now.
struct Candidate {
    kind: Kind,
    request: Request,
    /// Those headers, by lower-case name, that tell its step from others.
    headers: Vec<(String, String)>,
}

impl Candidate {
    fn new<'a>(kind: Kind, request: Request, own: impl Iterator<Item = &'a str>) -> Self {
        let headers = own
            .filter_map(|name| {
                let header = request.headers.iter().find(|(other, _)| other == name)?;
                Some((name.to_ascii_lowercase(), header.1.trim().to_owned()))
            })
            .collect();
        Self {
            kind,
            request,
            headers,
        }
    }
}

impl World {
    /// Returns what a request is: of all that the hub may send now, the one most like it.
    pub(super) fn identify(&self, raw: &Raw) -> Option<Kind> {
        let mut best: Option<(f64, Kind)> = None;
        for Candidate {
            kind,
            request,
            headers,
        } in self.candidates()
        {
            let target = match request.url.query() {
                Some(query) => format!("{}?{query}", request.url.path()),
                None => request.url.path().to_owned(),
            };
            let fits = request.method == raw.method
                && target == raw.target
                && headers
                    .iter()
                    .all(|(name, value)| raw.headers.get(name) == Some(value));
            let body = request.body.to_bytes().unwrap_or_default();
            let likeness = likeness(&body, &raw.body);
            if fits && best.as_ref().is_none_or(|(most, _)| likeness > *most) {
                best = Some((likeness, kind));
            }
        }
        best.map(|(_, kind)| kind)
    }

    fn candidates(&self) -> Vec<Candidate> {
        let connector = &self.connector;
        let mut all = Vec::new();
        let moment = Moment::now();
        if let Ok(Some(request)) = connector.token_request() {
            all.push(Candidate::new(Kind::Login, request, std::iter::empty()));
        }
        if let Some(step) = connector.login_step() {
            let nobody = (Facts::default(), Session::default());
            if let Ok(request) = connector.request(step, &nobody.0, None, &nobody.1, &moment) {
                all.push(Candidate::new(Kind::Login, request, step.header_names()));
            }
        }
        for facts in self.facts() {
            for operation in Operation::ALL {
                // Without steps of its own, an update is a publish.
                if operation == Operation::Update && !connector.updates_by_itself() {
                    continue;
                }
                for (number, step) in connector.steps(operation).iter().enumerate() {
                    for item in connector.items(step, &facts).unwrap_or_default() {
                        let made =
                            connector.request(step, &facts, item.as_ref(), &self.session, &moment);
                        let Ok(request) = made else { continue };
                        let seen = Seen {
                            operation,
                            step: number,
                            version: facts.version,
                        };
                        all.push(Candidate::new(
                            Kind::Step(seen),
                            request,
                            step.header_names(),
                        ));
                    }
                }
            }
        }
        all
    }

    /// Returns what the hub may know when it makes a request.
    fn facts(&self) -> Vec<Facts> {
        let state = self.state();
        let mut ids: Vec<Option<String>> = state.remote_ids.iter().cloned().map(Some).collect();
        ids.push(None);
        let mut all = Vec::new();
        for document in &state.documents {
            for remote_id in &ids {
                all.push(Facts {
                    record: minijinja::Value::from(minijinja::value::Serde(document)),
                    key: document["id"].as_str().unwrap_or_default().to_owned(),
                    version: document["version"].as_i64().unwrap_or_default(),
                    remote_id: remote_id.clone(),
                    remote_url: state.remote_url.clone(),
                    reason: Some(REASON.to_owned()),
                    captured: serde_json::Map::new(),
                    files: self.files.clone(),
                });
            }
        }
        all
    }
}

/// Returns how much two bodies have in common at their beginning and their end, 0 to 1.
fn likeness(one: &[u8], other: &[u8]) -> f64 {
    let most = one.len().max(other.len());
    let least = one.len().min(other.len());
    if most == 0 {
        return 1.0;
    }
    let head = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let tails = one.iter().rev().zip(other.iter().rev());
    let tail = tails.take_while(|(a, b)| a == b).count();
    (head + tail.min(least - head)) as f64 / most as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_is_what_two_bodies_share_at_both_ends() {
        assert_eq!(likeness(b"", b""), 1.0);
        assert_eq!(likeness(b"abc", b"abc"), 1.0);
        assert_eq!(likeness(b"ab0cd", b"ab12cd"), 4.0 / 6.0);
        assert!(likeness(b"id=0&x=1", b"id=7&x=1") > likeness(b"id=0&x=1", b"zzzz"));
    }
}
