//! `why`: in one screen where a record stands, the cause, what happens next, and what to do.

use crate::clock::{now_ms, rfc3339};
use crate::connector::Connectors;
use crate::record::{DeliveryState, Hold, Wanted};
use crate::store::{AttemptView, DeliveryView, RecordState, RecordView, Store, StoreError};
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
    /// What to do; empty when nothing.
    pub advice: String,
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
    let paused: Vec<String> = store
        .platform_switches()
        .await?
        .into_iter()
        .filter(|switch| switch.is_paused(now_ms()))
        .map(|switch| switch.id)
        .collect();
    let mut platforms = Vec::new();
    for delivery in &record.deliveries {
        if on.is_some_and(|on| on != delivery.platform) {
            continue;
        }
        let attempts = store.attempts(&delivery.id).await?;
        let is_paused = paused.contains(&delivery.platform);
        platforms.push(on_platform(
            connectors,
            delivery,
            attempts.first(),
            is_paused,
        ));
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
        holds: record.holds.clone(),
        platforms,
        advice,
    })
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

fn on_platform(
    connectors: &Connectors,
    delivery: &DeliveryView,
    last: Option<&AttemptView>,
    is_paused: bool,
) -> WhyPlatform {
    let connector = connectors.get(&delivery.platform);
    let stopped = match connector {
        None => Some("平台的连接器没有加载，运行 synchub doctor 查看原因".to_owned()),
        Some(connector) if !connector.unresolved().is_empty() => Some(format!(
            "平台的地址或密钥没有配置：{}",
            connector.unresolved().join("；")
        )),
        Some(_) if is_paused => Some("平台已被暂停推送".to_owned()),
        Some(connector) => connector
            .maintenance_until(now_ms())
            .map(|until| format!("平台处于维护时段，至 {}", rfc3339(until))),
    };
    let (cause, next, advice) = in_words(delivery, last, stopped.as_deref(), is_paused);
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
        cause,
        next,
        advice,
    }
}

/// Returns cause, next and advice.
fn in_words(
    delivery: &DeliveryView,
    last: Option<&AttemptView>,
    stopped: Option<&str>,
    is_paused: bool,
) -> (String, String, String) {
    let due = delivery.due_at.map(rfc3339);
    let waits = |otherwise: String| match stopped {
        Some(reason) => (reason.to_owned(), "恢复后自动继续，不计重试次数".to_owned()),
        None => (
            otherwise,
            due.clone()
                .map_or_else(String::new, |at| format!("{at} 推送")),
        ),
    };
    let resume = match is_paused {
        true => format!("synchub resume {}", delivery.platform),
        false => String::new(),
    };
    let failure = delivery.failure.as_ref();
    let said = failure.map_or_else(
        || {
            last.map(|it| spoken(&it.stage, &it.code, &it.message))
                .unwrap_or_default()
        },
        |it| spoken(&it.stage, &it.code, &it.text),
    );
    match delivery.state {
        DeliveryState::Held => (
            "信息被暂扣，没有推送".to_owned(),
            "更正或放行后推送".to_owned(),
            String::new(),
        ),
        DeliveryState::Queued => {
            let (cause, next) = waits("等待推送".to_owned());
            (cause, next, resume)
        }
        DeliveryState::Retrying => {
            let (cause, next) = waits(format!("上一次没有成功：{said}"));
            (cause, format!("已试 {} 次；{next}", delivery.tries), resume)
        }
        DeliveryState::Sending => (
            "正在推送".to_owned(),
            "几秒内有结果；进程中断时租约到期后自动接续".to_owned(),
            String::new(),
        ),
        DeliveryState::Delivered => (
            "平台已接收".to_owned(),
            due.map_or_else(String::new, |at| format!("{at} 回读核对")),
            String::new(),
        ),
        DeliveryState::Confirmed => (
            "平台已公开显示，回读一致".to_owned(),
            String::new(),
            String::new(),
        ),
        DeliveryState::Withdrawn => ("已从平台撤下".to_owned(), String::new(), String::new()),
        DeliveryState::Skipped => {
            let cause = match delivery.wanted {
                Wanted::Gone => "撤回时尚未推送过，无需撤下",
                Wanted::Shown => "无需推送",
            };
            (cause.to_owned(), String::new(), String::new())
        }
        DeliveryState::Failed => {
            let class = failure.map_or("", |it| it.class.as_str());
            (
                format!("{}：{said}", class_in_words(class)),
                "不会自动重试".to_owned(),
                failed_advice(delivery, class),
            )
        }
    }
}

fn spoken(stage: &str, code: &str, text: &str) -> String {
    let code = if code.is_empty() {
        String::new()
    } else {
        format!(" [{code}]")
    };
    format!("步骤 {stage}{code} {text}").trim_end().to_owned()
}

fn class_in_words(class: &str) -> &'static str {
    match class {
        "contract" => "内容不符合平台要求",
        "reject" => "平台拒绝接收",
        "render" => "连接器无法生成请求",
        "unknown" => "平台的回答无法识别",
        "stale" => "平台上已有更新的版本",
        "auth" => "平台不认可我方身份",
        "lost" | "no_connection" => "平台连不上或没有回应",
        "rate_limited" | "retry" => "平台一再要求稍后重试",
        _ => "推送失败",
    }
}

fn failed_advice(delivery: &DeliveryView, class: &str) -> String {
    let replay = format!("synchub replay --delivery {}", delivery.id);
    match class {
        "contract" | "reject" => {
            format!("请报送单位按原因更正后重新报送；若平台已调整，可重放：{replay}")
        }
        "render" => {
            format!(
                "检查连接器：synchub connector check {}；改好后重放：{replay}",
                delivery.platform
            )
        }
        "unknown" => format!("到平台核对是否已保存；重放会先查询再决定，不会重复：{replay}"),
        _ => format!("平台恢复后重放：{replay}"),
    }
}
