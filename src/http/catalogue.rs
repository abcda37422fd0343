//! `/v1/catalogue`: the registry in use, and what its versions changed.

use super::App;
use super::caller::Caller;
use super::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// Shows the registry in use: its version, units, areas, columns with their deadlines, the years
/// whose holidays are known, and what earlier versions changed.
#[utoipa::path(get, path = "/v1/catalogue", tag = "catalogue", responses(
    (status = 200, description = "`{version, sha256, first_seen_at, units, areas, columns, default, divisions, calendar, history}`", body = Object),
    (status = 401, description = "No valid API key", body = Problem),
))]
pub(super) async fn show(State(app): State<App>, _caller: Caller) -> Result<Json<Value>, Problem> {
    let catalogue = &app.intake.catalogue;
    let version = app.intake.registry_version().await?;
    let history = app.intake.store.catalogues().await?;
    let years: Vec<i16> = catalogue
        .calendar()
        .notices()
        .iter()
        .map(|it| it.year)
        .collect();
    let columns: Vec<Value> = catalogue
        .all_columns()
        .iter()
        .map(|column| {
            let mut shown = json!(column);
            shown["deadline_text"] = column.deadline.words().into();
            shown
        })
        .collect();
    let first_seen_at = history.iter().find(|it| it.version == version);
    Ok(Json(json!({
        "version": version,
        "sha256": catalogue.sha256(),
        "first_seen_at": first_seen_at.map(|it| it.first_seen_at),
        "units": catalogue.all_units(),
        "areas": catalogue.all_areas(),
        "columns": columns,
        "default": catalogue.default_rule(),
        "divisions": catalogue.all_divisions(),
        "calendar": {"years": years},
        "history": history,
    })))
}
