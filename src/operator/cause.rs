//! What a class of failure means: who must act, in which words, and the command to run next. The
//! one home of these facts for failure groups and for `why`.

use serde::Serialize;

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The information centre: settings, keys, connectors, a look by a person.
    Us,
    /// The platform's operators.
    Platform,
    /// The unit that sent the entry.
    Unit,
}

impl Owner {
    /// Returns the word used in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Platform => "platform",
            Self::Unit => "unit",
        }
    }

    /// Returns the words a clerk reads.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Us => "信息中心",
            Self::Platform => "平台方",
            Self::Unit => "报送单位",
        }
    }
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Diagnosis {
    pub(super) owner: Owner,
    /// The class in words.
    pub(super) words: &'static str,
    /// What to do, in one sentence.
    pub(super) advice: &'static str,
    remedy: Remedy,
}

/// What helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Look at one of them; it is mended outside the hub.
    Look,
    /// Send again.
    Replay,
    /// Mend the connector.
    Connector,
    /// Mend settings or keys.
    Settings,
}

/// Returns what failures of this class and code mean.
pub(super) fn diagnose(class: &str, code: &str) -> Diagnosis {
    let (owner, words, advice, remedy) = match (class, code) {
        ("contract", _) => (
            Owner::Unit,
            "内容不符合平台要求",
            "请报送单位按原因更正后重新报送，更正后自动推送；平台要求已放宽的，可重放",
            Remedy::Look,
        ),
        ("reject", "host_not_allowed") => (
            Owner::Us,
            "平台要求转到未登记的地址",
            "核实新地址是否属于该平台，登记到连接器后重放",
            Remedy::Connector,
        ),
        ("reject", "withdraw_unsupported") => (
            Owner::Us,
            "平台不支持自动撤下",
            "请人工到平台撤下",
            Remedy::Look,
        ),
        ("reject", _) => (
            Owner::Unit,
            "平台拒绝接收",
            "请报送单位按平台的原因更正后重新报送，更正后自动推送；平台已调整的，可重放",
            Remedy::Look,
        ),
        ("render", "bytes_differ") => (
            Owner::Us,
            "按原样重发的请求与当时不同",
            "平台上的保持原样；要发送最新内容的，按当前状态重放",
            Remedy::Replay,
        ),
        ("render", _) => (
            Owner::Us,
            "连接器无法生成请求",
            "检查并改好连接器后重放",
            Remedy::Connector,
        ),
        ("unknown", _) => (
            Owner::Us,
            "平台的回答无法识别",
            "到平台核对是否已保存；重放会先查询再决定，不会重复",
            Remedy::Look,
        ),
        ("stale", _) => (
            Owner::Us,
            "平台上已有更新的版本",
            "到平台核对是谁更新的；以本系统为准的，可重放",
            Remedy::Look,
        ),
        ("auth" | "settings", _) => (
            Owner::Us,
            "平台不认可我方身份",
            "检查平台的账号、密钥和本机时钟，改好后重放",
            Remedy::Settings,
        ),
        ("lost" | "no_connection", _) => (
            Owner::Platform,
            "平台连不上或没有回应",
            "请平台方恢复服务后重放",
            Remedy::Replay,
        ),
        ("rate_limited" | "retry", _) => (
            Owner::Platform,
            "平台一再要求稍后重试",
            "请平台方恢复服务或放宽限制后重放",
            Remedy::Replay,
        ),
        _ => (Owner::Us, "推送失败", "查明原因后重放", Remedy::Look),
    };
    Diagnosis {
        owner,
        words,
        advice,
        remedy,
    }
}

impl Diagnosis {
    /// Returns the command to run next for a group with this example.
    pub(super) fn command_for_group(&self, group: &str, record: &str, platform: &str) -> String {
        match self.remedy {
            Remedy::Look => format!("synchub why {record} --on {platform}"),
            Remedy::Replay => format!("synchub replay --group {group} --ramp 1,10,100"),
            Remedy::Connector => format!("synchub connector check {platform}"),
            Remedy::Settings => "synchub doctor".to_owned(),
        }
    }

    /// Returns the command to run next for one delivery.
    pub(super) fn command_for_one(&self, delivery: &str, platform: &str) -> String {
        match self.remedy {
            Remedy::Look | Remedy::Replay => format!("synchub replay --delivery {delivery}"),
            Remedy::Connector => format!("synchub connector check {platform}"),
            Remedy::Settings => "synchub doctor".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_an_owner_and_a_next_command() {
        for (class, code, owner, word) in [
            ("contract", "maxLength", Owner::Unit, "why r"),
            ("reject", "42201", Owner::Unit, "why r"),
            ("reject", "host_not_allowed", Owner::Us, "connector check p"),
            ("render", "missing", Owner::Us, "connector check p"),
            ("unknown", "", Owner::Us, "why r"),
            ("auth", "login", Owner::Us, "doctor"),
            ("lost", "lost", Owner::Platform, "replay --group g --ramp"),
            ("retry", "503", Owner::Platform, "replay --group g --ramp"),
        ] {
            let diagnosis = diagnose(class, code);
            assert_eq!(diagnosis.owner, owner, "{class} {code}");
            let command = diagnosis.command_for_group("g", "r", "p");
            assert!(command.contains(word), "{class} {code}: {command}");
        }
    }
}
