//! `why`: in one screen where a record stands, the cause, what happens next, and what to do.

use super::cause::{Owner, diagnose};
use super::platforms::{OutageStatus, out_of_turn, turn};
use crate::clock::{now_ms, rfc3339};
use crate::connector::{Connectors, Turn};
use crate::record::{DeliveryState, Hold, Wanted};
use crate::store::{
    AttemptView, DeliveryView, HandMark, LiveReplay, OutageKind, PlatformSwitch, RecordState,
    RecordView, Store, StoreError,
};
use serde::Serialize;

/// Where a record stands, in words.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// Id of the record.
    pub record_id: String,
    /// The sender's id.
    pub source_id: String,
    /// Its title.
    pub title: String,
    /// `live`, `held` or `withdrawn`.
    pub state: RecordState,
    /// The newest version.
    pub version: i64,
    /// The last day on which it is public in time.
    pub due_on: Option<String>,
    /// Whether that day was reckoned without a holiday notice.
    pub due_provisional: bool,
    /// Whether it was public too late, or is held and due by now.
    pub late: bool,
    /// Why it is held.
    pub holds: Vec<Hold>,
    /// One per platform.
    pub platforms: Vec<WhyPlatform>,
    /// What holds for the whole record and what to do about it; empty when all is well.
    pub advice: String,
}

/// Where a record stands on one platform, in words.
#[derive(Debug, Clone, Serialize)]
pub struct WhyPlatform {
    /// The platform.
    pub platform: String,
    /// Its name.
    pub name: String,
    /// Id of the delivery.
    pub delivery_id: String,
    /// Its state.
    pub state: DeliveryState,
    /// The state in Chinese.
    pub state_text: &'static str,
    /// The version wanted there.
    pub version: i64,
    /// The version shown there, as far as the hub knows.
    pub shown_version: Option<i64>,
    /// Where the public sees it.
    pub url: Option<String>,
    /// The last try.
    pub last_attempt: Option<LastAttempt>,
    /// The cause, in one sentence.
    pub cause: String,
    /// What will happen next and when, in one sentence.
    pub next: String,
    /// Who must act; none when nobody must.
    pub owner: Option<Owner>,
    /// What to do; empty when nothing.
    pub advice: String,
    /// The command to run next; empty when none.
    pub command: String,
    /// The group of failures with the same cause.
    pub group: Option<String>,
}

/// The last try, in short.
#[derive(Debug, Clone, Serialize)]
pub struct LastAttempt {
    /// When it began.
    pub at: String,
    /// publish, update, withdraw, look_up, read_back
    pub operation: String,
    /// The verdict's word.
    pub verdict: String,
    /// The step that decided.
    pub stage: String,
    /// The platform's code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

impl LastAttempt {
    fn of(attempt: &AttemptView) -> Self {
        Self {
            at: rfc3339(attempt.started_at),
            operation: attempt.operation.clone(),
            verdict: attempt.verdict.clone(),
            stage: attempt.stage.clone(),
            code: attempt.code.clone(),
            message: attempt.message.clone(),
            duration_ms: attempt.duration_ms,
        }
    }
}

/// Says where `record` stands, on all platforms or on one.
///
/// # Errors
/// When the store does not answer.
pub async fn why(
    store: &Store,
    connectors: &Connectors,
    record: &RecordView,
    on: Option<&str>,
) -> Result<Why, StoreError> {
    let switches = store.platform_switches().await?;
    let outages = outages(store).await?;
    let mut platforms = Vec::new();
    for delivery in &record.deliveries {
        if on.is_some_and(|on| on != delivery.platform) {
            continue;
        }
        // The last of them is the newest.
        let attempts = store.attempts(&delivery.id).await?;
        let switch = switches.iter().find(|it| it.id == delivery.platform);
        let around = Around {
            switch: switch.filter(|it| it.is_paused(now_ms())),
            turn: turn(connectors.get(&delivery.platform), switch),
            outage: outages
                .iter()
                .find(|(platform, _)| *platform == delivery.platform)
                .map(|(_, outage)| outage),
            age_max_s: connectors
                .get(&delivery.platform)
                .map(|connector| connector.retry().age_max_s),
            replay: store.replay_of(&delivery.id).await?,
            mark: store.hand_mark(&delivery.id).await?,
        };
        platforms.push(on_platform(connectors, delivery, attempts.last(), &around));
    }
    let advice = match (record.summary.state, platforms.is_empty()) {
        (RecordState::Held, _) => hold_advice(record),
        (_, true) if record.deliveries.is_empty() => {
            "没有平台接收这类信息：请检查重点领域、栏目和项目组别，或各连接器的 connector.takes"
                .to_owned()
        }
        (_, true) => format!("这条信息不在平台 {} 上", on.unwrap_or_default()),
        _ => String::new(),
    };
    Ok(Why {
        record_id: record.summary.id.to_string(),
        source_id: record.summary.source_id.clone(),
        title: crate::screen::mask(&record.summary.title).into_owned(),
        state: record.summary.state,
        version: record.summary.version,
        due_on: record.summary.due_on.clone(),
        due_provisional: record.summary.due_provisional,
        late: record.summary.late,
        holds: record.holds.clone(),
        platforms,
        advice,
    })
}

/// Returns the outages that last, by platform; what waits is counted only when there are any.
async fn outages(store: &Store) -> Result<Vec<(String, OutageStatus)>, StoreError> {
    let outages = store.outages().await?;
    if outages.is_empty() {
        return Ok(Vec::new());
    }
    let counts = store.count_open_deliveries().await?;
    Ok(outages
        .into_iter()
        .map(|outage| {
            let waiting = counts.iter().filter(|it| {
                it.platform == outage.platform
                    && matches!(
                        it.state,
                        DeliveryState::Queued | DeliveryState::Sending | DeliveryState::Retrying
                    )
            });
            let waiting = waiting.map(|it| it.count).sum();
            let status = OutageStatus::of(&outage, waiting);
            (outage.platform, status)
        })
        .collect())
}

fn hold_advice(record: &RecordView) -> String {
    let reasons: Vec<&str> = record
        .holds
        .iter()
        .map(|hold| hold.detail.as_str())
        .collect();
    format!(
        "暂扣：{}。由报送单位更正后重新报送；确属误判的，运维账号可放行：POST /v1/records/{}/release",
        reasons.join("；"),
        record.summary.id
    )
}

/// What keeps or moves a delivery, beside itself.
struct Around<'a> {
    /// The pause of its platform.
    switch: Option<&'a PlatformSwitch>,
    /// Whether it is its version's turn, while its platform moves.
    turn: Option<Turn>,
    /// The outage of its platform.
    outage: Option<&'a OutageStatus>,
    /// After so many seconds since the first try a person is needed.
    age_max_s: Option<i64>,
    /// The replay that it is in.
    replay: Option<LiveReplay>,
    /// What a person has decided about it.
    mark: Option<HandMark>,
}

fn on_platform(
    connectors: &Connectors,
    delivery: &DeliveryView,
    last: Option<&AttemptView>,
    around: &Around<'_>,
) -> WhyPlatform {
    let connector = connectors.get(&delivery.platform);
    let stopped = match connector {
        None => Some("平台的连接器没有加载，运行 synchub doctor 查看原因".to_owned()),
        Some(connector) if !connector.unresolved().is_empty() => Some(format!(
            "平台的地址或密钥没有配置：{}",
            connector.unresolved().join("；")
        )),
        Some(_) if around.turn.is_some_and(|it| it != Turn::Sends) => around
            .turn
            .map(|turn| out_of_turn(&delivery.platform, turn).1),
        Some(_) if around.switch.is_some() => around.switch.map(paused_in_words),
        Some(connector) => connector
            .maintenance_until(now_ms())
            .map(|until| format!("平台处于维护时段，至 {}", rfc3339(until)))
            .or_else(|| around.outage.map(OutageStatus::in_words)),
    };
    let said = in_words(delivery, last, stopped.as_deref(), around);
    WhyPlatform {
        platform: delivery.platform.clone(),
        name: connector.map_or_else(|| delivery.platform.clone(), |it| it.name().to_owned()),
        delivery_id: delivery.id.to_string(),
        state: delivery.state,
        state_text: delivery.state.chinese(),
        version: delivery.version,
        shown_version: delivery.shown_version,
        url: delivery.remote_url.clone(),
        last_attempt: last.map(LastAttempt::of),
        cause: said.cause,
        next: said.next,
        owner: said.owner,
        advice: said.advice,
        command: said.command,
        group: delivery.failure.as_ref().and_then(|it| it.group.clone()),
    }
}

fn paused_in_words(switch: &PlatformSwitch) -> String {
    let until = switch
        .paused_until
        .map_or_else(String::new, |until| format!("，至 {}", rfc3339(until)));
    format!(
        "平台已被 {} 暂停推送：{}{until}",
        switch.paused_by.as_deref().unwrap_or_default(),
        switch.pause_reason.as_deref().unwrap_or_default()
    )
}

/// What is said about one delivery.
#[derive(Default)]
struct Said {
    cause: String,
    next: String,
    owner: Option<Owner>,
    advice: String,
    command: String,
}

impl Said {
    fn of(cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            next: next.into(),
            ..Self::default()
        }
    }
}

fn in_words(
    delivery: &DeliveryView,
    last: Option<&AttemptView>,
    stopped: Option<&str>,
    around: &Around<'_>,
) -> Said {
    if let Some(mark) = &around.mark {
        return decided(delivery, mark);
    }
    if around.turn == Some(Turn::Retired) {
        return Said::of("平台的这个旧版本已停用", "不再推送，以平台现在的版本为准");
    }
    let due = delivery.due_at.map(rfc3339);
    let said = match &delivery.failure {
        Some(it) => spoken(&it.stage, &it.code, &it.text),
        None => last
            .map(|it| spoken(&it.stage, &it.code, &it.message))
            .unwrap_or_default(),
    };
    match delivery.state {
        DeliveryState::Held => Said::of("信息被暂扣，没有推送", "更正或放行后推送"),
        DeliveryState::Queued => waiting(delivery, "等待推送".to_owned(), stopped, around),
        DeliveryState::Retrying => {
            let mut waiting = waiting(delivery, format!("上一次没有成功：{said}"), stopped, around);
            waiting.next = format!("已试 {} 次；{}", delivery.tries, waiting.next);
            waiting
        }
        DeliveryState::Sending => {
            Said::of("正在推送", "几秒内有结果；进程中断时租约到期后自动接续")
        }
        DeliveryState::Delivered => Said::of(
            "平台已接收",
            due.map_or_else(String::new, |at| format!("{at} 回读核对")),
        ),
        DeliveryState::Confirmed => Said::of("平台已公开显示，回读一致", ""),
        DeliveryState::Withdrawn => Said::of("已从平台撤下", ""),
        DeliveryState::Skipped => {
            let cause = match delivery.wanted {
                Wanted::Gone => "撤回时尚未推送过，无需撤下",
                Wanted::Shown => "无需推送",
            };
            Said::of(cause, "")
        }
        DeliveryState::Failed => failed(delivery, &said, around),
    }
}

fn decided(delivery: &DeliveryView, mark: &HandMark) -> Said {
    let (what, next) = match mark.verb.as_str() {
        "done" => ("已人工完成", "信息更正或撤回时照常推送，推送前先到平台查询"),
        _ => ("已放弃推送", "不再推送；信息更正或撤回时照常推送"),
    };
    let evidence = crate::screen::mask(&mark.evidence);
    Said {
        command: format!(
            "synchub undo {} --on {} --reason \"…\"",
            delivery.record_id, delivery.platform
        ),
        ..Said::of(
            format!("{what}（{}，{}）：{evidence}", mark.actor, rfc3339(mark.at)),
            next,
        )
    }
}

fn waiting(
    delivery: &DeliveryView,
    otherwise: String,
    stopped: Option<&str>,
    around: &Around<'_>,
) -> Said {
    let due = delivery.due_at.map(rfc3339);
    let kind = around.outage.map(|it| it.kind);
    let (cause, next) = match stopped {
        Some(reason) => {
            let mut next = "恢复后自动继续，不计重试次数".to_owned();
            if kind == Some(OutageKind::TooMany) && around.switch.is_none() {
                next.push_str(&patience_in_words(delivery, around.age_max_s));
            }
            (reason.to_owned(), next)
        }
        None => (
            otherwise,
            due.map_or_else(String::new, |at| format!("{at} 推送")),
        ),
    };
    let resume = || format!("synchub resume {}", delivery.platform);
    let (advice, command) = match (around.switch, kind) {
        (Some(_), _) => (String::new(), resume()),
        (None, Some(OutageKind::Out)) => (
            "确认平台已经恢复的，可不等试探，立即继续推送".to_owned(),
            resume(),
        ),
        (None, Some(OutageKind::TooMany)) => (
            "到时自动继续；总是这样的，请平台方放宽限制，或降低推送速度（--rate）".to_owned(),
            resume(),
        ),
        (None, None) => Default::default(),
    };
    Said {
        advice,
        command,
        ..Said::of(cause, next)
    }
}

/// Says when a delivery that only waits becomes a person's concern all the same.
fn patience_in_words(delivery: &DeliveryView, age_max_s: Option<i64>) -> String {
    let Some(age_max_s) = age_max_s else {
        return String::new();
    };
    let since = delivery
        .first_tried_at
        .map_or_else(String::new, |at| format!("（{}）", rfc3339(at)));
    let hours = (age_max_s + 3_599) / 3_600;
    format!("；自首次尝试{since}起满 {hours} 小时仍未成功的转人工处理")
}

fn failed(delivery: &DeliveryView, said: &str, around: &Around<'_>) -> Said {
    let (class, code) = delivery
        .failure
        .as_ref()
        .map_or(("", ""), |it| (it.class.as_str(), it.code.as_str()));
    let diagnosis = diagnose(class, code);
    let cause = format!("{}：{said}", diagnosis.words);
    match &around.replay {
        // Somebody is at it already.
        Some(replay) => Said {
            owner: Some(Owner::Us),
            command: format!("synchub replays show {}", replay.id),
            ..Said::of(
                cause,
                format!("在一次重放中等待，该重放现在是 {}", replay.state.as_str()),
            )
        },
        None => Said {
            owner: Some(diagnosis.owner),
            advice: diagnosis.advice.to_owned(),
            command: diagnosis.command_for_one(delivery.id.as_str(), &delivery.platform),
            ..Said::of(cause, "不会自动重试")
        },
    }
}

fn spoken(stage: &str, code: &str, text: &str) -> String {
    let code = if code.is_empty() {
        String::new()
    } else {
        format!(" [{code}]")
    };
    let text = crate::screen::mask(text);
    format!("步骤 {stage}{code} {text}").trim_end().to_owned()
}
