//! `account add|list|revoke`.

use super::hint::failure;
use super::hub;
use super::output::{Output, table};
use crate::clock::{now_ms, rfc3339};
use crate::config::Settings;
use crate::http::{hash_of, new_key};
use crate::store::{NewAccount, Store};
use clap::{Args, Subcommand};
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum AccountVerb {
    /// Make an account and print its key, once
    Add(AddArgs),
    /// List accounts
    List,
    /// End an account; its key is refused within seconds
    Revoke {
        /// Name of the account
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Name that people know it by
    name: String,
    /// The source system it speaks for [default: the name]
    #[arg(long)]
    source: Option<String>,
    /// Code, name or alias of a unit it may post for; several allowed [default: all]
    #[arg(long, value_name = "UNIT")]
    unit: Vec<String>,
    /// May do what operators do
    #[arg(long)]
    operator: bool,
}

pub(super) async fn account(
    settings: &Settings,
    verb: AccountVerb,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    match verb {
        AccountVerb::Add(args) => add(settings, &store, args, output).await?,
        AccountVerb::List => list(&store, output).await?,
        AccountVerb::Revoke { name } => {
            if !store.revoke_account(&name, now_ms()).await? {
                return Err(failure(
                    format!("no valid account is called `{name}`"),
                    "`synchub account list` lists them",
                ));
            }
            output.show(&json!({"revoked": name}), || format!("{name} is revoked"));
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn add(
    settings: &Settings,
    store: &Store,
    args: AddArgs,
    output: &Output,
) -> anyhow::Result<()> {
    let units = units_of(settings, &args.unit)?;
    let source = args.source.unwrap_or_else(|| args.name.clone());
    let key = create(store, &args.name, &source, units.clone(), args.operator).await?;
    output.show(
        &json!({"name": args.name, "source": source, "units": units, "operator": args.operator, "key": key}),
        || key.clone(),
    );
    output.note("This key is shown once and stored only as a hash.");
    Ok(())
}

/// Makes an account and returns its key.
pub(super) async fn create(
    store: &Store,
    name: &str,
    source: &str,
    units: Vec<String>,
    operator: bool,
) -> anyhow::Result<String> {
    let key = new_key();
    let account = NewAccount {
        id: uuid::Uuid::now_v7().to_string(),
        name: name.to_owned(),
        source: source.to_owned(),
        key_sha256: hash_of(&key),
        units,
        operator,
        created_at: now_ms(),
    };
    match store.add_account(&account).await? {
        true => Ok(key),
        false => Err(failure(
            format!("an account called `{name}` exists"),
            "choose another name; a name is never given twice, so that old rows stay clear",
        )),
    }
}

fn units_of(settings: &Settings, names: &[String]) -> anyhow::Result<Vec<String>> {
    if names.is_empty() {
        return Ok(vec!["*".to_owned()]);
    }
    let catalogue = crate::catalogue::Catalogue::load(&settings.connectors.catalogue)?;
    names
        .iter()
        .map(|name| {
            catalogue
                .unit(name)
                .map(|unit| unit.unit.code.clone())
                .ok_or_else(|| {
                    let nearest = catalogue.nearest_units(name, 3).join(", ");
                    failure(
                        format!("no unit is called `{name}`"),
                        format!("did you mean {nearest}?"),
                    )
                })
        })
        .collect()
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let accounts = store.list_accounts().await?;
    output.show(&json!(accounts), || {
        let mut rows = vec![
            ["NAME", "SOURCE", "UNITS", "OPERATOR", "SINCE", "REVOKED"]
                .map(ToOwned::to_owned)
                .to_vec(),
        ];
        rows.extend(accounts.iter().map(|account| {
            vec![
                account.name.clone(),
                account.source.clone(),
                account.units.join(","),
                if account.operator { "yes" } else { "no" }.to_owned(),
                rfc3339(account.created_at),
                account.revoked_at.map(rfc3339).unwrap_or_default(),
            ]
        }));
        table(&rows)
    });
    Ok(())
}
