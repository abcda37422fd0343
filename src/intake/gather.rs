//! Gets the files of an entry that are given by address, before the entry is looked at.
//!
//! What is fetched here is on disk and nowhere else; it is kept once the entry has been found
//! right. A file that is known by its digest is not fetched again.

use super::Refusal;
use crate::attachment::{AttachmentError, Attachments, FetchError, megabytes};
use crate::blob::Received;
use crate::normalise::File;
use crate::normalise::text::one_line;
use crate::record::{EntryAttachment, FieldError};

/// Fetches what `attachments` give by address; those that came otherwise cost nothing.
///
/// # Errors
/// One error for each file that cannot be had; [`Refusal::Unfetched`] when it may go well later.
pub(super) async fn gather(
    store: &Attachments,
    attachments: &mut [EntryAttachment],
) -> Result<(), Refusal> {
    let limits = store.limits();
    let mut left = limits.total_bytes_max;
    let deadline = store.fetch_deadline();
    if attachments.len() > limits.count_max {
        let detail = format!("附件超过{}个，请合并或分次提交。", limits.count_max);
        let error = FieldError::new("/entry/attachments", "too_many", detail);
        return Err(Refusal::Fields(vec![error]));
    }
    for (place, attachment) in attachments.iter_mut().enumerate() {
        let is_here = attachment.received.is_some() || attachment.content_base64.is_some();
        if let Some(url) = attachment.url.as_ref().filter(|_| !is_here) {
            let sha256 = attachment.sha256.as_deref();
            let received = match known(store, sha256).await? {
                Some(received) => received,
                None => store
                    .fetch(url, left, deadline)
                    .await
                    .map_err(|error| refused(&error, place, &attachment.name))?,
            };
            attachment.received = Some(received);
        }
        let bytes = attachment
            .received
            .as_ref()
            .map_or(0, |it| it.content.len());
        if bytes > left {
            let detail = format!("全部附件合计超过{}。", megabytes(limits.total_bytes_max));
            let error = FieldError::new("/entry/attachments", "too_large", detail);
            return Err(Refusal::Fields(vec![error]));
        }
        left -= bytes;
    }
    Ok(())
}

async fn known(store: &Attachments, sha256: Option<&str>) -> Result<Option<Received>, Refusal> {
    let Some(sha256) = sha256 else {
        return Ok(None);
    };
    match store.known(&sha256.trim().to_ascii_lowercase()).await {
        Ok(known) => Ok(known),
        Err(AttachmentError::Store(error)) => Err(error.into()),
        // It is fetched instead.
        Err(_) => Ok(None),
    }
}

/// Keeps the files of an entry that was found right.
///
/// # Errors
/// When the object store does not take one.
pub(super) async fn keep(store: &Attachments, files: &[File]) -> Result<(), Refusal> {
    for (place, file) in files.iter().enumerate() {
        match store.keep(&file.sha256, &file.content).await {
            Ok(()) => {}
            Err(AttachmentError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "A file could not be kept: {error}"
                );
                let detail = format!("附件《{}》暂时无法保存，请稍后重新报送。", file.name);
                let pointer = format!("/entry/attachments/{place}");
                let error = FieldError::new(pointer, "attachment_not_stored", detail);
                return Err(Refusal::Unfetched(error));
            }
        }
    }
    Ok(())
}

fn refused(error: &FetchError, place: usize, name: &str) -> Refusal {
    tracing::info!(%error, "A file was not fetched: {error}");
    let (code, reason) = match error {
        FetchError::Address => (
            "attachment_url_invalid",
            "的地址不是可用的 http 或 https 地址，请核对".to_owned(),
        ),
        FetchError::NotAllowed(host) => (
            "attachment_host_not_allowed",
            format!(
                "的地址指向“{host}”，不在允许取件的主机名单中，请直接提交文件内容，或联系信息中心登记该主机"
            ),
        ),
        FetchError::Network(host) => (
            "attachment_host_not_allowed",
            format!("所在主机“{host}”的网络地址不允许取件，请联系信息中心"),
        ),
        FetchError::Redirects(host) => (
            "attachment_unreachable",
            format!("所在主机“{host}”多次转向，没有给出文件，请核对地址"),
        ),
        FetchError::Status { host, status } => (
            "attachment_unreachable",
            format!("取件失败：“{host}”回答 {status}，请核对地址和访问权限"),
        ),
        FetchError::TooLarge(max) => (
            "too_large",
            format!("超过{}，请压缩或分次提交", megabytes(*max)),
        ),
        FetchError::Empty => ("attachment_empty", "是空文件，请检查后重新提交".to_owned()),
        FetchError::Broken { host, .. } => (
            "attachment_unreachable",
            format!("取件失败：“{host}”没有应答或中途断开，请稍后重新报送"),
        ),
        FetchError::Disk(_) => (
            "attachment_not_stored",
            "暂时无法保存，请稍后重新报送".to_owned(),
        ),
    };
    let name: String = one_line(name).chars().take(80).collect();
    let field = FieldError::new(
        format!("/entry/attachments/{place}/url"),
        code,
        format!("附件《{name}》{reason}。"),
    );
    match error.may_pass() {
        true => Refusal::Unfetched(field),
        false => Refusal::Fields(vec![field]),
    }
}
