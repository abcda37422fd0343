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

/// Returns the version that `id` says a platform had; `None` for a platform itself.
///
/// # Errors
/// When what follows the name is no version: a number from 1, written plainly.
pub fn previous_version(id: &str) -> Result<Option<u32>, ()> {
    let Some((platform, version)) = id.split_once(DIVIDER) else {
        return Ok(None);
    };
    let number: u32 = version.parse().map_err(drop)?;
    let is_plain = number > 0 && number.to_string() == version && !platform.is_empty();
    is_plain.then_some(Some(number)).ok_or(())
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
            assert_eq!(previous_version(wrong), Err(()), "{wrong}");
        }
    }
}
