//! PostgreSQL is stopped, killed, cut off, slow.

use super::*;
use crate::backend::{Backend, Database, administer};
use crate::servers::postgres::Postgres;
use crate::servers::proxy::{Line, Proxy};

fn hub_on(server: &Postgres, environment: &[(String, String)]) -> Hub {
    let backend = Backend::with(Database::on_own_server(&server.url()));
    Hub::start_on(backend, environment)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn a_database_that_is_stopped_and_started_loses_and_doubles_nothing() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut server = Postgres::start_new();
    let hub = hub_on(&server, &impatient(&platforms));
    let callers = Callers::start(&hub);
    some_deliveries(&hub, 20).await;
    server.stop();
    outage(&hub, callers, &platforms, || server.start()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn a_database_that_is_killed_loses_and_doubles_nothing() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut server = Postgres::start_new();
    let hub = hub_on(&server, &impatient(&platforms));
    let callers = Callers::start(&hub);
    some_deliveries(&hub, 20).await;
    server.kill();
    outage(&hub, callers, &platforms, || server.start()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn callers_do_not_notice_a_restart_that_is_shorter_than_they_wait() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut server = Postgres::start_new();
    let hub = hub_on(&server, &platforms.environment);
    let callers = Callers::start(&hub);
    for _ in 0..3 {
        some_deliveries(&hub, 10).await;
        server.stop();
        server.start();
    }
    some_deliveries(&hub, 10).await;
    let told = callers.stop().await;
    assert_eq!(told.refused, 0, "{told:?}");
    nothing_lost_nothing_twice(&hub, &platforms, &told).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn callers_do_not_notice_that_connections_are_terminated() {
    const TERMINATE: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE application_name = 'synchub'";
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let server = Postgres::start_new();
    let hub = hub_on(&server, &platforms.environment);
    let callers = Callers::start(&hub);
    for _ in 0..20 {
        some_deliveries(&hub, 5).await;
        administer(&server.url(), TERMINATE);
    }
    some_deliveries(&hub, 10).await;
    let told = callers.stop().await;
    assert_eq!(told.refused, 0, "{told:?}");
    readiness(&hub, true).await;
    nothing_lost_nothing_twice(&hub, &platforms, &told).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn a_slow_database_slows_and_a_silent_one_is_told_and_comes_back() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let server = Postgres::start_new();
    let proxy = Proxy::to(server.port()).await;
    let database = Database::on_own_server(&server.url());
    let direct = database.url();
    let through = direct.replace(
        &format!(":{}/", server.port()),
        &format!(":{}/", proxy.port()),
    );
    assert_ne!(direct, through);
    let mut environment = impatient(&platforms);
    // Leases bear a slow line as long as a transaction takes less than one.
    environment.push(("SYNCHUB__DELIVER__LEASE_MS".to_owned(), "20000".to_owned()));
    let hub = Hub::start_on(Backend::with(Database::At(through)), &environment);
    let callers = Callers::start(&hub);
    some_deliveries(&hub, 10).await;
    proxy.be(Line::Slow(Duration::from_millis(25)));
    some_deliveries(&hub, 10).await;
    assert_eq!(hub.get("/readyz").await.0, 200, "slow is not away");
    proxy.be(Line::Dead);
    readiness(&hub, false).await;
    tokio::time::sleep(WAIT + Duration::from_secs(1)).await;
    proxy.be(Line::Good);
    readiness(&hub, true).await;
    some_deliveries(&hub, 10).await;
    let told = callers.stop().await;
    assert!(told.refused > 0, "{told:?}");
    assert!(told.longest < WAIT + SLACK, "{told:?}");
    nothing_lost_nothing_twice(&hub, &platforms, &told).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn a_hub_that_is_asked_to_end_while_its_database_is_away_ends() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut server = Postgres::start_new();
    let mut hub = hub_on(&server, &impatient(&platforms));
    let callers = Callers::start(&hub);
    some_deliveries(&hub, 20).await;
    server.stop();
    readiness(&hub, false).await;
    for poster in &callers.posters {
        poster.abort();
    }
    let began = Instant::now();
    assert!(hub.terminate(), "it ends well");
    assert!(
        began.elapsed() < Duration::from_secs(45),
        "{:?}",
        began.elapsed()
    );
    server.start();
    hub.run();
    readiness(&hub, true).await;
}
