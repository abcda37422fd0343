//! The gate of 公开方式: what the clerk declared. What the text says is one of its [`super::marks`].

use super::hold;
use crate::record::{Disclosure, Hold, HoldCode};

/// Returns the hold that the declared 公开方式 asks for by itself.
pub(super) fn declared(disclosure: Disclosure, written: &str) -> Option<Hold> {
    match disclosure {
        Disclosure::Proactive => None,
        Disclosure::OnRequest => Some(hold(
            HoldCode::OnRequest,
            "公开方式为“依申请公开”，不向公开平台推送；如需主动公开，请修改公开方式后重新提交。",
        )),
        Disclosure::Withheld => Some(hold(
            HoldCode::Withheld,
            "公开方式为“不予公开”，不向公开平台推送；如需主动公开，请修改公开方式后重新提交。",
        )),
        Disclosure::Undeclared if written.trim().is_empty() => Some(hold(
            HoldCode::Undeclared,
            "公开方式没有填写，请选择“主动公开”“依申请公开”或“不予公开”后重新提交。",
        )),
        Disclosure::Undeclared => {
            let written: String = written.chars().take(20).collect();
            let detail = format!(
                "公开方式“{written}”无法识别，请改为“主动公开”“依申请公开”或“不予公开”后重新提交。"
            );
            Some(hold(HoldCode::Undeclared, detail))
        }
    }
}
