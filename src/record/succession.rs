//! The names of two versions of one platform side by side: `NAME`, and `NAME@1` for the version
//! that it had before.

/// Divides the name of a platform from the version that it had.
const DIVIDER: char = '@';

/// Returns the platform that `id` belongs to: itself, or the `NAME` of `NAME@1`.
pub fn platform_of(id: &str) -> &str {
    id.split_once(DIVIDER).map_or(id, |(platform, _)| platform)
}

/// Returns whether `id` names a version that a platform had before.
pub fn is_previous(id: &str) -> bool {
    id.contains(DIVIDER)
}

/// What follows the name is no version: a number from 1, written plainly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version before is written NAME@1, with a number from 1")]
pub struct NoVersion;

/// Returns the version that `id` says a platform had; `None` for a platform itself.
///
/// # Errors
/// See [`NoVersion`].
pub fn previous_version(id: &str) -> Result<Option<u32>, NoVersion> {
    let Some((platform, version)) = id.split_once(DIVIDER) else {
        return Ok(None);
    };
    let number: u32 = version.parse().map_err(|_| NoVersion)?;
    let is_plain = number > 0 && number.to_string() == version && !platform.is_empty();
    is_plain.then_some(Some(number)).ok_or(NoVersion)
}

/// Returns the name of the version that `platform` had before.
pub fn previous_id(platform: &str, version: u32) -> String {
    format!("{platform}{DIVIDER}{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_part_of_the_name_and_leads_back_to_the_platform() {
        let id = previous_id("gazette", 3);
        assert_eq!(
            (platform_of(&id), previous_version(&id)),
            ("gazette", Ok(Some(3)))
        );
        assert!(is_previous(&id) && !is_previous("gazette"));
        assert_eq!(
            (platform_of("gazette"), previous_version("gazette")),
            ("gazette", Ok(None))
        );
        for wrong in [
            "gazette@",
            "gazette@0",
            "gazette@03",
            "gazette@+3",
            "@1",
            "a@1@2",
            "a@x",
        ] {
            assert_eq!(previous_version(wrong), Err(NoVersion), "{wrong}");
        }
    }
}
