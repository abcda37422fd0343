//! Takes rows in, chunk by chunk: while one is being committed the next is made ready.

use super::fate::{Fate, fate, foreseen};
use super::file::{Chunk, Row};
use super::{ImportError, Outcome, RowReport};
use crate::connector::Connectors;
use crate::intake::{Intake, Pending, Ready, Refusal, in_words, sentence};
use crate::record::{Action, FieldError};
use crate::store::{Account, KnownDocuments, NewSubmission, RecordHead, RecordState};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// How a file is taken in.
#[derive(Debug, Clone)]
pub struct Options {
    /// The source that the rows come from.
    pub source: String,
    /// Whether a row that says something else than its record corrects it.
    pub correct: bool,
    /// Whether nothing is stored.
    pub dry_run: bool,
}

/// A row of the file: place of its sheet, and row.
type Place = (usize, u64);

/// Takes the rows of one file in.
pub struct Importer<'a> {
    intake: &'a Intake,
    account: Account,
    options: Options,
    sheets: Vec<Option<String>>,
    /// Digest of a document → the row that brought it, and the digest of its id.
    seen: HashMap<u128, (Place, u128)>,
    /// Digest of a record's id → the row of an earlier run that became it.
    known: HashMap<u128, Place>,
}

/// A row whose fate is known, or waits for its commit.
enum Begun {
    Told(RowReport),
    Waiting { report: RowReport, pending: Pending },
}

/// Enough of a digest to tell a million things apart.
fn digest(text: &str) -> u128 {
    let digest = Sha256::digest(text);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(bytes)
}

impl<'a> Importer<'a> {
    /// Makes an importer for a file with these sheets; `earlier` is what an earlier run told.
    pub fn new(
        intake: &'a Intake,
        account: Account,
        options: Options,
        sheets: Vec<Option<String>>,
    ) -> Self {
        Self {
            intake,
            account,
            options,
            sheets,
            seen: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// Remembers what an earlier run told of a row, so that later rows are compared with it.
    pub fn remember(&mut self, report: &RowReport) {
        let Some(id) = &report.record_id else { return };
        if matches!(report.outcome, Outcome::Duplicate | Outcome::Rejected) {
            return;
        }
        let sheet = self.sheets.iter().position(|name| *name == report.sheet);
        let place = (sheet.unwrap_or_default(), report.row);
        self.known.insert(digest(id), place);
    }

    /// Takes all chunks in, in order; `told` hears what became of the rows of each, after their
    /// commit, and how much of the file that is.
    ///
    /// # Errors
    /// The store does not answer, or `told` failed. What was told stands.
    pub async fn run(
        &mut self,
        chunks: &mut mpsc::Receiver<Chunk>,
        mut told: impl FnMut(&[RowReport], u64) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let mut waiting: Option<(Vec<Begun>, u64)> = None;
        while let Some(chunk) = chunks.recv().await {
            let begun = self.begin(chunk.rows).await?;
            if let Some((begun, done)) = waiting.replace((begun, chunk.done)) {
                told(&self.finish(begun).await?, done)?;
            }
        }
        if let Some((begun, done)) = waiting {
            told(&self.finish(begun).await?, done)?;
        }
        Ok(())
    }

    async fn begin(&mut self, rows: Vec<Row>) -> Result<Vec<Begun>, ImportError> {
        let mut checked = Vec::with_capacity(rows.len());
        for mut row in rows {
            let ready = match std::mem::replace(&mut row.entry, Err(Vec::new())) {
                Err(errors) => Err(errors),
                Ok(entry) => {
                    let ready = self.intake.make_ready(&self.account, &entry.body).await;
                    match ready {
                        Ok(ready) => {
                            row.entry = Ok(entry);
                            Ok(ready)
                        }
                        Err(refusal) => Err(in_words(refusal)?),
                    }
                }
            };
            checked.push((row, ready));
        }
        let news: Vec<&NewSubmission> = checked
            .iter()
            .filter_map(|(_, ready)| ready.as_ref().ok().map(Ready::submission))
            .collect();
        let known = self
            .intake
            .store
            .known_documents(&self.account.source, &news)
            .await?;
        let mut begun = Vec::with_capacity(checked.len());
        for (row, ready) in checked {
            begun.push(match ready {
                Err(errors) => Begun::Told(self.rejected(&row, errors)),
                Ok(ready) => self.decide(row, ready, &known).await?,
            });
        }
        Ok(begun)
    }

    /// Decides about a row that could be taken in.
    async fn decide(
        &mut self,
        row: Row,
        ready: Ready,
        known: &KnownDocuments,
    ) -> Result<Begun, ImportError> {
        let Ok(entry) = &row.entry else {
            return Ok(Begun::Told(self.rejected(&row, Vec::new())));
        };
        let new = ready.submission();
        let own = known.own(new);
        let mut report = self.report(&row, Outcome::Created);
        report.source_id = Some(new.source_id.clone());
        report.record_id = own.map(|own| own.id.clone());
        report.platforms.clone_from(&new.platforms);
        if new.action == Action::Publish
            && let Some(duplicate) = self.duplicate(&row, entry.has_source_id, new, known)
        {
            return Ok(Begun::Told(RowReport {
                platforms: Vec::new(),
                record_id: None,
                ..duplicate
            }));
        }
        let fate = match entry.has_revision {
            true => Fate::AsItIs,
            false => fate(own, new, self.options.correct),
        };
        let ready = match fate {
            Fate::AsItIs => ready,
            Fate::Unchanged => {
                report.outcome = Outcome::Unchanged;
                report.detail = "内容与已报送的相同，未作改动".to_owned();
                return Ok(Begun::Told(report));
            }
            Fate::Refused(code, detail) => {
                return Ok(Begun::Told(self.refused(&row, code, detail)));
            }
            Fate::Revision(revision) => {
                let body = with_revision(&entry.body, revision);
                match self.intake.make_ready(&self.account, &body).await {
                    Ok(ready) => ready,
                    Err(refusal) => {
                        return Ok(Begun::Told(self.rejected(&row, in_words(refusal)?)));
                    }
                }
            }
        };
        if self.options.dry_run {
            return Ok(Begun::Told(self.foreseen(&row, report, &ready, known)));
        }
        match self.intake.hand_over(ready).await {
            Ok(pending) => Ok(Begun::Waiting { report, pending }),
            Err(refusal) => Ok(Begun::Told(self.rejected(&row, in_words(refusal)?))),
        }
    }

    /// Returns the report of a row whose document an earlier row or another record has.
    fn duplicate(
        &mut self,
        row: &Row,
        has_source_id: bool,
        new: &NewSubmission,
        known: &KnownDocuments,
    ) -> Option<RowReport> {
        let place = (row.sheet, row.row);
        let id = digest(&new.source_id);
        let (first, first_id) = *self
            .seen
            .entry(digest(&new.document_key()?))
            .or_insert((place, id));
        // Rows that name one id are revisions of one record, as their sender says.
        if first != place && !(has_source_id && first_id == id) {
            return Some(self.duplicate_of(row, first));
        }
        let own = known.own(new).map(|own| own.id.as_str());
        let same = known.same(new);
        let earlier = |record: &str| self.known.get(&digest(record)).copied();
        if let Some(first) = own.filter(|_| !has_source_id).and_then(earlier) {
            return Some(self.duplicate_of(row, first));
        }
        let other = same.filter(|_| own.is_none())?;
        if let Some(first) = earlier(&other.id) {
            return Some(self.duplicate_of(row, first));
        }
        let mut report = self.report(row, Outcome::Duplicate);
        report.duplicate_of_record = Some(other.id.clone());
        report.code = "same_document".to_owned();
        report.detail = format!(
            "文号（或发布机构）、标题和成文日期与 {} 报送的 {} 相同，没有重复入库。",
            other.source, other.source_id
        );
        Some(report)
    }

    fn duplicate_of(&self, row: &Row, (sheet, first): Place) -> RowReport {
        let mut report = self.report(row, Outcome::Duplicate);
        report.duplicate_of_row = Some(first);
        report.code = "same_document".to_owned();
        let place = match self.sheets.get(sheet).and_then(Option::as_ref) {
            Some(name) if sheet != row.sheet => {
                report.duplicate_of_sheet = Some(name.clone());
                format!("工作表“{name}”第 {first} 行")
            }
            Some(_) | None => format!("第 {first} 行"),
        };
        report.detail = format!("文号（或发布机构）、标题和成文日期与{place}相同，没有重复入库。");
        report
    }

    /// Returns what would become of a row.
    fn foreseen(
        &self,
        row: &Row,
        mut report: RowReport,
        ready: &Ready,
        known: &KnownDocuments,
    ) -> RowReport {
        let new = ready.submission();
        report.outcome = match foreseen(known.own(new), new) {
            Ok(outcome) => outcome,
            Err((code, detail)) => return self.refused(row, code, detail),
        };
        if report.outcome == Outcome::Held {
            let codes: Vec<&str> = new.holds.iter().map(|it| it.code.as_str()).collect();
            let details: Vec<&str> = new.holds.iter().map(|it| it.detail.as_str()).collect();
            report.code = codes.join(" ");
            report.detail = details.join("；");
            report.platforms.clear();
        } else {
            report.detail = names(&report.platforms, &self.intake.connectors);
        }
        report
    }

    async fn finish(&self, begun: Vec<Begun>) -> Result<Vec<RowReport>, ImportError> {
        let mut reports = Vec::with_capacity(begun.len());
        for row in begun {
            reports.push(match row {
                Begun::Told(report) => report,
                Begun::Waiting { report, pending } => match pending.finish().await {
                    Ok(accepted) => self.accepted(report, accepted.changed, &accepted.head),
                    Err(Refusal::Store(error)) => return Err(error.into()),
                    Err(refusal) => with_errors(report, in_words(refusal)?),
                },
            });
        }
        Ok(reports)
    }

    fn accepted(&self, mut report: RowReport, changed: bool, head: &RecordHead) -> RowReport {
        report.outcome = match (changed, head.state) {
            (false, _) => Outcome::Unchanged,
            (true, RecordState::Held) => Outcome::Held,
            (true, RecordState::Withdrawn) => Outcome::Withdrawn,
            (true, RecordState::Live) if head.version > 1 => Outcome::Corrected,
            (true, RecordState::Live) => Outcome::Created,
        };
        report.record_id = Some(head.record_id.as_str().to_owned());
        report.version = Some(head.version);
        let holds: Vec<&str> = head.holds.iter().map(|hold| hold.code.as_str()).collect();
        report.code = holds.join(" ");
        if head.state == RecordState::Held {
            report.platforms.clear();
        }
        report.detail = sentence(changed, head, &self.intake.connectors);
        report
    }

    fn refused(&self, row: &Row, code: &str, detail: &str) -> RowReport {
        self.rejected(row, vec![FieldError::new("/revision", code, detail)])
    }

    fn rejected(&self, row: &Row, errors: Vec<FieldError>) -> RowReport {
        with_errors(self.report(row, Outcome::Rejected), errors)
    }

    fn report(&self, row: &Row, outcome: Outcome) -> RowReport {
        RowReport {
            sheet: self.sheets.get(row.sheet).cloned().flatten(),
            row: row.row,
            outcome,
            record_id: None,
            version: None,
            source_id: None,
            platforms: Vec::new(),
            code: String::new(),
            pointer: String::new(),
            detail: String::new(),
            duplicate_of_row: None,
            duplicate_of_sheet: None,
            duplicate_of_record: None,
        }
    }
}

fn with_errors(mut report: RowReport, errors: Vec<FieldError>) -> RowReport {
    report.outcome = Outcome::Rejected;
    report.platforms.clear();
    let mut codes: Vec<String> = errors.iter().map(row_code).collect();
    codes.dedup();
    report.code = codes.join(" ");
    report.pointer = errors
        .first()
        .map(|error| error.pointer.clone())
        .unwrap_or_default();
    let details: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();
    report.detail = details.concat();
    report
}

/// Returns the code of an error in the words of a sheet: a cell that every row must have is
/// missing, or not valid, however the door for submissions puts it.
fn row_code(error: &FieldError) -> String {
    match (error.pointer.as_str(), error.code.as_str()) {
        ("/entry/title", "title_empty" | "required" | "too_short") => "title_missing",
        ("/entry/unit", "unknown_unit" | "required" | "too_short") => "unit_unknown",
        ("/entry/written_on", "date_invalid" | "required" | "too_short") => "written_on_invalid",
        (_, code) => code,
    }
    .to_owned()
}

fn with_revision(body: &[u8], revision: i64) -> Vec<u8> {
    let Ok(mut native) = serde_json::from_slice::<serde_json::Value>(body) else {
        return body.to_vec();
    };
    native["revision"] = revision.into();
    native.to_string().into_bytes()
}

fn names(platforms: &[String], connectors: &Connectors) -> String {
    let names: Vec<&str> = platforms
        .iter()
        .map(|id| connectors.get(id).map_or(id.as_str(), |it| it.name()))
        .collect();
    match names.len() {
        0 => "没有平台接收这类信息，请检查重点领域和栏目。".to_owned(),
        count => format!("将在 {count} 个平台显示：{}。", names.join("、")),
    }
}
