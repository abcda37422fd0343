//! Named places where the process can be made to end as by `kill -9`, to prove that it may.
//!
//! `SYNCHUB_FAILPOINT=settle.before_commit:3` ends the process the third time that it gets there:
//! no destructor runs, nothing is flushed. The crash test goes through [`Point::ALL`], so a point
//! that is added here and called somewhere is tested by itself; one that is never reached fails
//! it. Without the variable a point costs one relaxed load. Never set it where real work is done.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// The environment variable: the name of a point, and after a colon the how-manieth time counts.
pub const VARIABLE: &str = "SYNCHUB_FAILPOINT";

/// What was asked for names no point, or no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE} is `{0}`, which is not POINT or POINT:TIMES")]
pub struct NoSuchPoint(String);

/// Declares the points once: variant, name, where it is.
macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal,)+) => {
        /// A boundary: what comes before it is done, what comes after it is not begun.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Point { $($(#[doc = $doc])+ $point,)+ }

        impl Point {
            /// All points, in the way of the data.
            pub const ALL: &'static [Self] = &[$(Self::$point,)+];

            /// Returns the name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)+ }
            }
        }
    };
}

points! {
    /// Submissions are written, not committed.
    SubmitCommitting = "submit.before_commit",
    /// Submissions are committed, nobody has been told.
    SubmitCommitted = "submit.after_commit",
    /// The senders have been told, the caller has not.
    SubmitOffered = "submit.before_answer",
    /// What waits is about to be handed to the broker.
    PublishBegins = "publish.before",
    /// The broker has been handed a message and has not confirmed it.
    PublishHandedOver = "publish.after",
    /// The broker has confirmed a message.
    PublishConfirmed = "publish.confirmed",
    /// The store has noted that the sweep offers something, and it is not offered yet.
    SweepNoted = "sweep.noted",
    /// A message has come from the broker, nothing in it is claimed.
    FetchTaken = "fetch.after",
    /// Deliveries are claimed, not committed.
    ClaimCommitting = "claim.before_commit",
    /// Deliveries are claimed, and nobody works on them.
    ClaimCommitted = "claim.after_commit",
    /// A login is about to be sent.
    LoginBegins = "login.before",
    /// A login was answered, and its session is not used yet.
    LoginEnded = "login.after",
    /// A request to a platform is made and not sent.
    SendBegins = "send.before",
    /// A platform has answered, and nobody has read the answer.
    SendAnswered = "send.after",
    /// The finished step of several is written, not committed.
    ProgressCommitting = "progress.before_commit",
    /// The finished step of several is committed, the next one is not begun.
    ProgressCommitted = "progress.after_commit",
    /// The outcome is known, and not handed to the store.
    SettleBegins = "settle.before",
    /// The outcome is written, not committed.
    SettleCommitting = "settle.before_commit",
    /// The outcome is committed.
    SettleCommitted = "settle.after_commit",
    /// The outcome is committed, and its message is not acknowledged.
    AckBegins = "ack.before",
    /// The message is acknowledged.
    AckEnded = "ack.after",
    /// Leases are renewed, not committed.
    RenewCommitting = "renew.before_commit",
    /// Leases are renewed.
    RenewCommitted = "renew.after_commit",
    /// Claims are handed back, not committed.
    ReleaseCommitting = "release.before_commit",
    /// Claims are handed back.
    ReleaseCommitted = "release.after_commit",
    /// The next part of a replay is due, not committed.
    ReplayCommitting = "replay.before_commit",
    /// The next part of a replay is due, the senders have not been told.
    ReplayCommitted = "replay.after_commit",
    /// What a platform shows is written, and what mends it, not committed.
    LookCommitting = "look.before_commit",
    /// What a platform shows is committed.
    LookCommitted = "look.after_commit",
    /// What an operator does is written, not committed.
    ActCommitting = "act.before_commit",
    /// What an operator does is committed, the senders have not been told.
    ActCommitted = "act.after_commit",
    /// Events have their numbers and are about to be handed to the broker.
    EventBegins = "event.before",
    /// The broker has confirmed events, and the store does not know it.
    EventConfirmed = "event.after",
}

impl Point {
    /// Returns the point of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|point| point.name() == name)
    }

    /// Returns whether the process only gets there with a broker.
    pub fn needs_broker(self) -> bool {
        match self {
            Self::PublishBegins
            | Self::PublishHandedOver
            | Self::PublishConfirmed
            | Self::SweepNoted
            | Self::FetchTaken
            | Self::AckBegins
            | Self::AckEnded
            | Self::EventBegins
            | Self::EventConfirmed => true,
            Self::SubmitCommitting
            | Self::SubmitCommitted
            | Self::SubmitOffered
            | Self::ClaimCommitting
            | Self::ClaimCommitted
            | Self::LoginBegins
            | Self::LoginEnded
            | Self::SendBegins
            | Self::SendAnswered
            | Self::ProgressCommitting
            | Self::ProgressCommitted
            | Self::SettleBegins
            | Self::SettleCommitting
            | Self::SettleCommitted
            | Self::RenewCommitting
            | Self::RenewCommitted
            | Self::ReleaseCommitting
            | Self::ReleaseCommitted
            | Self::ReplayCommitting
            | Self::ReplayCommitted
            | Self::LookCommitting
            | Self::LookCommitted
            | Self::ActCommitting
            | Self::ActCommitted => false,
        }
    }
}

const OFF: u8 = u8::MAX;
static ARMED: AtomicU8 = AtomicU8::new(OFF);
static LEFT: AtomicU32 = AtomicU32::new(0);

/// Arms the point that the environment names, if it names one.
///
/// # Errors
/// When the variable is set and names no point: a test that kills nothing would prove nothing.
pub fn arm() -> Result<(), NoSuchPoint> {
    let Some(wish) = std::env::var(VARIABLE).ok().filter(|it| !it.is_empty()) else {
        return Ok(());
    };
    let (point, times) = parse(&wish).ok_or(NoSuchPoint(wish))?;
    LEFT.store(times, Ordering::Relaxed);
    ARMED.store(point as u8, Ordering::Release);
    Ok(())
}

/// Returns the armed point and when it counts, from `POINT` or `POINT:TIMES`.
fn parse(wish: &str) -> Option<(Point, u32)> {
    let (name, times) = match wish.split_once(':') {
        Some((name, times)) => (name, times.parse().ok().filter(|times| *times > 0)?),
        None => (wish, 1),
    };
    Some((Point::parse(name)?, times))
}

/// Returns whether any point is armed: spares the walk to points that are reached in a loop.
pub fn is_armed() -> bool {
    ARMED.load(Ordering::Relaxed) != OFF
}

/// Says that the process got to `point`; ends it when that is the one, the so-manieth time.
#[inline]
pub fn reach(point: Point) {
    if ARMED.load(Ordering::Relaxed) == point as u8 {
        count_down(point);
    }
}

#[cold]
fn count_down(point: Point) {
    // Below zero it wraps; the process is gone by then.
    if LEFT.fetch_sub(1, Ordering::AcqRel) == 1 {
        tracing::warn!(point = point.name(), "The process ends at {}", point.name());
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_found_again() {
        for point in Point::ALL {
            assert_eq!(Point::parse(point.name()), Some(*point));
        }
        let mut names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
        assert!(Point::ALL.len() < usize::from(OFF));
    }

    #[test]
    fn a_wish_is_a_point_and_maybe_a_count() {
        assert_eq!(parse("send.before"), Some((Point::SendBegins, 1)));
        assert_eq!(parse("send.before:3"), Some((Point::SendBegins, 3)));
        for wrong in ["send", "send.before:0", "send.before:x", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_is_armed_without_being_asked() {
        assert!(!is_armed());
        reach(Point::SendBegins);
    }
}
