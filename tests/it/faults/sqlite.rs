//! The disk of a SQLite file is full.

use super::*;
use crate::backend::{Backend, Database};
use crate::servers::is_root;
use std::path::Path;
use std::process::Command;

/// A small disk in memory; unmounted at the end.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let disk = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let options = format!("size={SMALL},mode=1777");
        disk.run(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs"]);
        disk
    }

    fn grow(&self) {
        self.run(&["mount", "-o", "remount,size=256m"]);
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, arguments: &[&str]) {
        assert!(
            self.try_to(arguments),
            "a small disk cannot be mounted. hint: run the tests as root or as a user with sudo, \
             where mounting is allowed, or leave this test out: `tests/run -- --skip faults::sqlite`"
        );
    }

    fn try_to(&self, arguments: &[&str]) -> bool {
        let mut command = match is_root() {
            true => Command::new(arguments[0]),
            false => {
                let mut command = Command::new("sudo");
                command.args(["-n", arguments[0]]);
                command
            }
        };
        let status = command.args(&arguments[1..]).arg(self.path()).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.try_to(&["umount"]);
    }
}

const SMALL: &str = "3m";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let disk = SmallDisk::mount();
    let backend = Backend::with(Database::file_in(disk.path()));
    let hub = Hub::start_on(backend, &impatient(&platforms));
    let callers = Callers::start(&hub);
    log_says(&hub, "full").await;
    outage(&hub, callers, &platforms, || disk.grow()).await;
}
