//! Statements that move deliveries by themselves are held against the machine of
//! [`crate::record::life`]: every standing × every event, on real rows.

use super::*;
use crate::record::life::table::{events, outcomes, standings};
use crate::record::life::{
    Claims, Due, Event, Intent, Outcome, Shows, Sight, Standing, Step, Tries, next,
};
use crate::store::db::{Tx, on, row};
use crate::store::standby::Handover;
use crate::store::steer::{Change, Deliveries, move_deliveries};

use crate::store::{ReplayWay, claim, hand, overriding, replay, settle, verification};

/// The version that is stored, and wanted unless an event says otherwise.
const VERSION: i64 = 5;
const NOW: i64 = 9_000_000;
const LEASE_UNTIL: i64 = 9_100_000;
const TOLD: i64 = 9_200_000;
/// When what waits is due.
const DUE: i64 = 1_000;
/// Claims of a delivery that has left, all accounted for but the newest.
const CLAIMED: i64 = 3;
const TRIES: i64 = 2;

row! {
    /// What a step changes.
    struct Row {
        id: String,
        state: String,
        wanted: String,
        held: bool,
        version: i64,
        due_at: Option<i64>,
        claimed: i64,
        settled: i64,
        tries: i64,
        shown_version: Option<i64>,
        remote_id: Option<String>,
    }
}

/// The columns that say where a delivery stands.
type Columns<'a> = (
    &'a str,
    &'a str,
    bool,
    [i64; 4],
    [Option<i64>; 2],
    Option<&'a str>,
);

impl Row {
    fn columns(&self) -> Columns<'_> {
        (
            &self.state,
            &self.wanted,
            self.held,
            [self.version, self.claimed, self.settled, self.tries],
            [self.due_at, self.shown_version],
            self.remote_id.as_deref(),
        )
    }
}

/// One delivery and where it stands.
struct Case {
    record_id: RecordId,
    id: DeliveryId,
    standing: Standing,
    claimed: i64,
    settled: i64,
    due_at: Option<i64>,
    shown_version: Option<i64>,
}

impl Case {
    fn of(record_id: RecordId, id: DeliveryId, standing: Standing) -> Self {
        let sending = standing.state == DeliveryState::Sending;
        // What is shown under another version has left, too.
        let claimed = if standing.ever_left { CLAIMED } else { 0 };
        Self {
            record_id,
            id,
            claimed,
            settled: claimed - i64::from(sending),
            due_at: match standing.state {
                _ if standing.held => None,
                DeliveryState::Sending => Some(LEASE_UNTIL),
                DeliveryState::Queued | DeliveryState::Retrying | DeliveryState::Delivered => {
                    Some(DUE)
                }
                _ => None,
            },
            shown_version: match (standing.is_shown, standing.shows_some) {
                (true, _) => Some(VERSION),
                (false, true) => Some(VERSION - 1),
                (false, false) => None,
            },
            standing,
        }
    }

    async fn write(&self, tx: &mut Tx) {
        let standing = &self.standing;
        let lease = (standing.state == DeliveryState::Sending).then_some(LEASE_UNTIL);
        on!(&mut *tx, |c| sqlx::query(
            "UPDATE deliveries SET state = $2, wanted = $3, held = $4, version = $5, due_at = $6, \
             claimed = $7, settled = $8, tries = $9, shown_version = $10, remote_id = $11, \
             lease_owner = CASE WHEN $12 THEN 'me' END, lease_until = $13, \
             claimed_version = $5 WHERE id = $1"
        )
        .bind(self.id.as_str())
        .bind(standing.state.as_str())
        .bind(standing.wanted.as_str())
        .bind(standing.held)
        .bind(VERSION)
        .bind(self.due_at)
        .bind(self.claimed)
        .bind(self.settled)
        .bind(if standing.was_tried { TRIES } else { 0 })
        .bind(self.shown_version)
        .bind(standing.has_remote.then_some("r1"))
        .bind(lease.is_some())
        .bind(lease)
        .execute(&mut **c)
        .await
        .map(drop))
        .unwrap();
    }

    /// The row as the machine wants it after `event`; as it is when it says nothing.
    fn expected(&self, event: Event) -> Row {
        let standing = &self.standing;
        let tries = if standing.was_tried { TRIES } else { 0 };
        let remote_id = standing.has_remote.then(|| "r1".to_owned());
        let Some(step) = next(standing, event) else {
            return Row {
                id: self.id.to_string(),
                state: standing.state.as_str().to_owned(),
                wanted: standing.wanted.as_str().to_owned(),
                held: standing.held,
                version: VERSION,
                due_at: self.due_at,
                claimed: self.claimed,
                settled: self.settled,
                tries,
                shown_version: self.shown_version,
                remote_id,
            };
        };
        let claimed = self.claimed + i64::from(event == Event::Claimed);
        Row {
            id: self.id.to_string(),
            state: step.state.as_str().to_owned(),
            wanted: step.wanted.as_str().to_owned(),
            held: step.held,
            version: VERSION + i64::from(step.newest),
            due_at: match step.due {
                Due::Never => None,
                Due::Now => Some(NOW),
                Due::LeaseEnd => Some(LEASE_UNTIL),
                Due::AsTold => Some(TOLD),
                Due::Same => self.due_at,
            },
            claimed,
            settled: match step.claims {
                Claims::AllSettled => claimed,
                Claims::OneSettled => self.settled + 1,
                Claims::Same => self.settled,
                Claims::InDoubt => self.settled.min(claimed - 1),
            },
            tries: match step.tries {
                Tries::None => 0,
                Tries::More => tries + 1,
                Tries::Same => tries,
            },
            shown_version: self.shown_after(event, &step),
            remote_id: remote_id.filter(|_| step.shows != Shows::Forget),
        }
    }

    fn shown_after(&self, event: Event, step: &Step) -> Option<i64> {
        match step.shows {
            Shows::This => Some(sent_version(event)),
            Shows::Nothing | Shows::Forget => None,
            Shows::Same => self.shown_version,
        }
    }
}

/// What was sent, when the event settles it.
fn sent_version(event: Event) -> i64 {
    match event {
        Event::Settled {
            overtaken: true, ..
        } => VERSION - 1,
        _ => VERSION,
    }
}

fn settled_as(outcome: Outcome) -> Settled {
    match outcome {
        Outcome::Accepted => Settled::Shown {
            remote_id: None,
            remote_url: None,
            check_at: Some(TOLD),
        },
        Outcome::Confirmed => Settled::Confirmed {
            remote_id: None,
            remote_url: None,
        },
        Outcome::NotVisible => Settled::StillUnderReview {
            check_at: Some(TOLD),
        },
        Outcome::TakenDown { forget_remote } => Settled::Gone { forget_remote },
        Outcome::NotNeeded => Settled::Skipped,
        Outcome::TryAgain { counts, in_doubt } => Settled::Retry {
            due_at: TOLD,
            counts,
            in_doubt,
        },
        Outcome::NotTried => Settled::Postponed { due_at: TOLD },
        Outcome::NeedsPerson { in_doubt } => Settled::Failed {
            stage: "send".to_owned(),
            class: "reject".to_owned(),
            code: String::new(),
            text: String::new(),
            group: "g".to_owned(),
            in_doubt,
        },
    }
}

/// Lets `event` happen to all deliveries, by the code that does it in the hub.
async fn happen(tx: &mut Tx, cases: &[Case], event: Event) {
    let token = |case: &Case| (case.id.clone(), case.claimed);
    match event {
        Event::RecordChanged { intent, routed } => change_records(tx, cases, intent, routed).await,
        Event::Claimed => {
            let request = claim::ClaimRequest {
                limit: 1_000,
                now: LEASE_UNTIL,
                due_by: LEASE_UNTIL,
                ..claim::ClaimRequest::for_test("portal", "me", LEASE_UNTIL)
            };
            claim::claim(tx, &request).await.unwrap();
        }
        Event::Settled { outcome, .. } => {
            let settlements: Vec<Settlement> = cases
                .iter()
                .map(|case| Settlement {
                    delivery: case.id.clone(),
                    token: case.claimed,
                    sent_version: sent_version(event),
                    outcome: settled_as(outcome),
                    attempt: attempt(),
                    progress: None,
                    now: NOW,
                })
                .collect();
            let all: Vec<&Settlement> = settlements.iter().collect();
            settle::settle(tx, &all).await.unwrap();
        }
        Event::HandedBack => {
            let claims: Vec<_> = cases.iter().map(token).collect();
            let all: Vec<_> = claims.iter().collect();
            settle::end_claims(&settle::RELEASE, tx, &all, NOW)
                .await
                .unwrap();
        }
        Event::BrokeOff => {
            let claims: Vec<_> = cases.iter().map(token).collect();
            let all: Vec<_> = claims.iter().collect();
            settle::end_claims(&settle::ABANDON, tx, &all, NOW)
                .await
                .unwrap();
        }
        Event::Replayed { again, lost } => {
            let way = match (again, lost) {
                (_, true) => ReplayWay::Refill,
                (true, false) => ReplayWay::Identical,
                (false, false) => ReplayWay::Current,
            };
            replay_everything(tx, way).await;
        }
        Event::TakenBack { before } => take_everything_back(tx, before).await,
        Event::LookedAt(sight) => {
            run(
                tx,
                "INSERT INTO verifications (id, platform, actor, reason, repair, state, \
                 lease_until, after_record, looked, confirmed, under_review, missing, stale, \
                 altered, unanswered, skipped, repaired, created_at) VALUES ('v', 'portal', '', \
                 '', TRUE, 'running', 0, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
            )
            .await;
            for case in cases {
                look(tx, case, sight).await;
            }
        }
        Event::DoneByHand => by_hand(tx, cases, &done()).await,
        Event::GivenUp => {
            let reason = "r".to_owned();
            by_hand(tx, cases, &HandWork::GiveUp { reason }).await;
        }
        Event::Undone { before } => {
            for case in cases {
                mark(tx, case, before).await;
            }
            let reason = "r".to_owned();
            by_hand(tx, cases, &HandWork::Undo { reason }).await;
        }
        Event::Overridden => {
            for case in cases {
                overriding::send(tx, case.id.as_str(), VERSION, NOW)
                    .await
                    .unwrap();
            }
        }
    }
}

fn done() -> HandWork {
    HandWork::Done {
        evidence: "seen".to_owned(),
        url: None,
    }
}

async fn by_hand(tx: &mut Tx, cases: &[Case], work: &HandWork) {
    for case in cases {
        hand::carry_out(tx, &case.id, work, "me", NOW)
            .await
            .unwrap();
    }
}

async fn look(tx: &mut Tx, case: &Case, sight: Sight) {
    let (appearance, repair) = match sight {
        Sight::Equal => (Appearance::Confirmed, false),
        Sight::Different => (Appearance::Altered, false),
        Sight::ToMend { missing: true } => (Appearance::Missing, true),
        Sight::ToMend { missing: false } => (Appearance::Stale, true),
        Sight::ToTakeDown => (Appearance::Returned, true),
    };
    let look = Look {
        delivery: case.id.clone(),
        record_id: case.record_id.clone(),
        version: VERSION,
        token: case.claimed,
        appearance,
        detail: String::new(),
        at: NOW,
    };
    let verification = Verification {
        id: "v".to_owned().into(),
        platform: "portal".to_owned(),
        state: VerificationState::Running,
        repair,
        reason: String::new(),
        actor: String::new(),
        scheduled_for: None,
        counts: VerificationCounts::default(),
        created_at: NOW,
        started_at: None,
        finished_at: None,
    };
    verification::note(tx, &verification, &look).await.unwrap();
}

async fn run(tx: &mut Tx, text: &'static str) {
    on!(tx, |c| sqlx::query(text).execute(&mut **c).await.map(drop)).unwrap();
}

fn new_replay(way: ReplayWay) -> NewReplay {
    NewReplay {
        selection: ReplaySelection::default(),
        way,
        expected_hash: None,
        reason: String::new(),
        actor: String::new(),
        rate_per_s: None,
        ramp: Vec::new(),
        stop_percent: 100,
    }
}

async fn replay_everything(tx: &mut Tx, way: ReplayWay) {
    let count = replay::start_everything(tx, &new_replay(way), NOW).await;
    assert!(count.unwrap() > 0);
}

/// As if a replay had made everything due that waits, and nobody had taken it yet.
async fn take_everything_back(tx: &mut Tx, before: DeliveryState) {
    let id: ReplayId = "r".to_owned().into();
    let new = new_replay(ReplayWay::Current);
    replay::insert(tx, &id, &new).await.unwrap();
    on!(&mut *tx, |c| sqlx::query(
        "INSERT INTO replay_items (replay_id, delivery_id, position, claimed_before, \
         version_before, state_before, due_before, settled_before, tries_before, shown_before, \
         remote_id_before, updated_before, started_at) SELECT 'r', id, 0, claimed, version, $1, \
         due_at, settled, tries, shown_version, remote_id, updated_at, 1 FROM deliveries"
    )
    .bind(before.as_str())
    .execute(&mut **c)
    .await
    .map(drop))
    .unwrap();
    on!(tx, |c| sqlx::query(replay::GIVE_BACK)
        .bind(id.as_str())
        .execute(&mut **c)
        .await
        .map(drop))
    .unwrap();
}

/// As if a person had decided when it stood at `before`.
async fn mark(tx: &mut Tx, case: &Case, before: DeliveryState) {
    on!(tx, |c| sqlx::query(
        "INSERT INTO hand_marks (delivery_id, verb, version, claimed, evidence, actor, at, \
         state_before, settled_before, shown_before, remote_id_before, updated_before) \
         SELECT id, 'done', version, claimed, '', '', 1, $2, settled, shown_version, remote_id, \
         updated_at FROM deliveries WHERE id = $1"
    )
    .bind(case.id.as_str())
    .bind(before.as_str())
    .execute(&mut **c)
    .await
    .map(drop))
    .unwrap();
}

async fn change_records(tx: &mut Tx, cases: &[Case], intent: Intent, routed: bool) {
    let ids: Vec<&str> = cases.iter().map(|case| case.record_id.as_str()).collect();
    let before = Deliveries::read(tx, &ids).await.unwrap();
    let platforms: Vec<String> = match routed {
        true => vec!["portal".to_owned()],
        false => Vec::new(),
    };
    let changes: Vec<Change<'_>> = cases
        .iter()
        .map(|case| Change {
            record_id: &case.record_id,
            version: VERSION + 1,
            intent,
            platforms: &platforms,
            ahead: false,
            now: NOW,
        })
        .collect();
    move_deliveries(tx, &changes, &before, &mut Handover::default())
        .await
        .unwrap();
}

fn attempt() -> NewAttempt {
    NewAttempt {
        id: AttemptId::generate(),
        operation: "publish".to_owned(),
        started_at: NOW,
        duration_ms: 1,
        verdict: "ok".to_owned(),
        stage: "send".to_owned(),
        code: String::new(),
        message: String::new(),
        exchanges: "[]".to_owned(),
    }
}

/// One record with one delivery for each way to stand.
async fn cases(store: &Store) -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, standing) in standings().into_iter().enumerate() {
        let new = NewSubmission {
            platforms: vec!["portal".to_owned()],
            ..sample(&format!("e{number}"), 1)
        };
        let head = change(store, new).await;
        let id = head.deliveries[0].id.clone();
        cases.push(Case::of(head.record_id, id, standing));
    }
    cases
}

/// Versions that the rows name, so that documents are found.
async fn write_versions(tx: &mut Tx) {
    for version in [VERSION - 1, VERSION] {
        on!(&mut *tx, |c| sqlx::query(
            "INSERT INTO versions (record_id, version, revision, action, content_sha256, \
             document, holds, warnings, platforms, created_at) SELECT record_id, $1, $1, action, \
             content_sha256, document, holds, warnings, platforms, created_at FROM versions \
             WHERE version = 1"
        )
        .bind(version)
        .execute(&mut **c)
        .await
        .map(drop))
        .unwrap();
    }
}

async fn rows(tx: &mut Tx) -> Vec<Row> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, state, wanted, held, version, due_at, claimed, settled, tries, \
         shown_version, remote_id FROM deliveries"
    )
    .fetch_all(&mut **c)
    .await)
    .unwrap()
}

#[tokio::test]
async fn every_statement_moves_a_delivery_as_the_machine_says() {
    let store = Fresh::open().await;
    let cases = cases(&store).await;
    assert!(cases.len() > 100, "{}", cases.len());
    let mut tx = store.pools().writer.begin_write().await.unwrap();
    write_versions(&mut tx).await;
    for case in &cases {
        case.write(&mut tx).await;
    }
    tx.commit().await.unwrap();
    assert!(outcomes().len() > 8 && events().len() > 30);
    let mut wrong = Vec::new();
    let mut moved = 0;
    for event in events() {
        let mut tx = store.pools().writer.begin_write().await.unwrap();
        happen(&mut tx, &cases, event).await;
        let rows = rows(&mut tx).await;
        // Everything goes back to where it stood.
        drop(tx);
        for case in &cases {
            let found = rows.iter().find(|row| row.id == case.id.as_str());
            let (found, expected) = (found.unwrap(), case.expected(event));
            if found.columns() != expected.columns() {
                wrong.push(format!(
                    "{:?}\n  after {event:?}\n  is     {:?}\n  not    {:?}",
                    case.standing,
                    found.columns(),
                    expected.columns()
                ));
            }
            moved += usize::from(next(&case.standing, event).is_some());
        }
    }
    assert!(moved > 500, "{moved}");
    let count = wrong.len();
    wrong.truncate(12);
    assert!(wrong.is_empty(), "{count} differ:\n{}", wrong.join("\n"));
}
