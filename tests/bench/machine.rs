//! What the kernel says about processes and the machine (Linux: proc(5)).

use serde_json::{Value, json};

/// Clock ticks a second; 100 on every Linux that this runs on (sysconf(_SC_CLK_TCK)).
const TICKS_PER_S: u64 = 100;

/// Returns user and system time of a process in milliseconds; 0 when it cannot be read.
pub(crate) fn cpu_ms(pid: u32) -> u64 {
    ticks_ms(pid, 2)
}

/// Returns the sum of the first `count` of utime, stime, cutime and cstime in milliseconds.
fn ticks_ms(pid: u32, count: usize) -> u64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0;
    };
    // The name in parentheses may hold blanks; counting starts after it.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: u64 = after
        .split_whitespace()
        .skip(11)
        .take(count)
        .filter_map(|it| it.parse::<u64>().ok())
        .sum();
    ticks * 1_000 / TICKS_PER_S
}

/// Returns the time of a process, of its children that have ended, and of all that descend from it.
pub(crate) fn cpu_ms_of_children(pid: u32) -> u64 {
    let own = ticks_ms(pid, 4);
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    own + children
        .split_whitespace()
        .filter_map(|it| it.parse().ok())
        .map(cpu_ms_of_children)
        .sum::<u64>()
}

/// Returns the largest resident memory of a process so far, in MiB.
pub(crate) fn memory_peak_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse::<f64>()
                .ok()
        })
        .map_or(0.0, |kib| kib / 1_024.0)
}

/// Returns what the figures were measured on.
pub(crate) fn description() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| {
        line.strip_prefix("model name")?
            .split(": ")
            .nth(1)
            .map(ToOwned::to_owned)
    });
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_kib: u64 = memory
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "cpu": model, "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gib": memory_kib / (1 << 20), "kernel": kernel.trim(),
        "synchub": env!("CARGO_PKG_VERSION"),
    })
}
