//! The sixteen cases by name.

macro_rules! cases {
    ($($(#[doc = $doc:literal])+ $case:ident = $name:literal, $title:literal;)+) => {
        /// A case of the conformance kit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Case { $($(#[doc = $doc])+ $case,)+ }

        impl Case {
            /// All cases, in order.
            pub const ALL: &'static [Self] = &[$(Self::$case,)+];

            /// Returns the name by which it is shown and waived.
            pub fn name(self) -> &'static str {
                match self { $(Self::$case => $name,)+ }
            }

            /// Returns what it asks for.
            pub fn title(self) -> &'static str {
                match self { $(Self::$case => $title,)+ }
            }
        }
    };
}

cases! {
    /// A new entry.
    Create = "create", "a new entry makes one object";
    /// A correction.
    Update = "update", "a correction replaces what is shown";
    /// The same entry twice.
    Repeat = "repeat", "the same entry again makes no second object";
    /// A timeout after the platform has saved.
    LostAnswer = "lost_answer", "an answer lost after saving makes no second object";
    /// An older version beside a newer one.
    OlderVersion = "older_version", "an older version never overtakes a newer one";
    /// A withdrawal twice.
    WithdrawTwice = "withdraw_twice", "a withdrawal works, also the second time";
    /// HTTP 429 with `Retry-After`.
    RateLimited = "rate_limited", "429 with Retry-After is waited for";
    /// HTTP 200 with an error inside.
    ErrorInBody = "error_in_body", "200 with an error in the body is no success";
    /// A session that has run out.
    ExpiredSession = "expired_session", "an expired session is renewed once and the work goes on";
    /// HTTP 5xx until patience is at an end.
    ServerErrors = "server_errors", "5xx is tried again until its time is over";
    /// A permanent rejection.
    Rejection = "rejection", "a rejection needs a person and is not repeated";
    /// Garbage, a web page, half an answer.
    Garbage = "garbage", "garbage, HTML and half an answer are never guessed";
    /// Characters that old systems stumble over.
    Characters = "characters", "Chinese, emoji, long titles, characters outside GBK";
    /// Fields that are missing.
    Fields = "fields", "an optional field may be missing, a required one is named";
    /// A redirect to a host that is not allowed.
    Redirect = "redirect", "a redirect to a strange host is not followed";
    /// Secrets.
    Secrets = "secrets", "no secret in logs, attempts and dry runs";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_sixteen_of_them() {
        let mut names: Vec<&str> = Case::ALL.iter().map(|case| case.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 16);
    }
}
