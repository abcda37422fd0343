//! The credit part of an entry.

use super::project::fields;
use super::text::one_line;
use super::{Findings, uscc, uscc_holds};
use crate::record::{Credit, EntryCredit};

/// Normalises the credit part; a doubtful credit code becomes a warning.
pub(super) fn credit(written: &EntryCredit, findings: &mut Findings) -> Credit {
    let subject = one_line(&written.subject);
    if subject.is_empty() {
        let detail = "信用主体名称是空白，请填写。";
        findings.error("/entry/credit/subject", "required", detail);
    }
    let code = written.uscc.as_deref().and_then(uscc);
    if let Some(code) = &code
        && !uscc_holds(code)
    {
        let detail = "统一社会信用代码的位数或校验码不对，可能有字符录错，请核对。";
        findings.warning("/entry/credit/uscc", "uscc_check_digit", detail);
    }
    Credit {
        subject,
        uscc: code,
        group: one_line(&written.group),
        fields: fields(&written.fields),
    }
}
