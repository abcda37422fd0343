//! `normalise KIND [VALUE…]`: what the hub makes of single values, one JSON object a line.

mod kinds;

use super::hub;
use super::output::Output;
use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::connector::{Connectors, References};
use crate::screen::Rules;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

/// Longest line of NDJSON that is read.
const LINE_BYTES_MAX: u64 = 100 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct NormaliseArgs {
    /// What the values are
    #[arg(value_enum)]
    kind: Kind,
    /// Values; text as it is, or JSON where the kind takes an object. Without any, every line of
    /// standard input is one JSON value
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    values: Vec<String>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    /// 文号, text
    DocNo,
    /// A date, text or number
    Date,
    /// An amount of yuan, text
    Money,
    /// 统一社会信用代码, text
    Uscc,
    /// 组织机构代码, text
    OrgCode,
    /// 居民身份证号, text
    IdCard,
    /// 项目编码, text
    ProjectCode,
    /// 索引号, text
    IndexNo,
    /// {"format": "html"|"text", "content"}
    Html,
    /// {"content_type", "bytes_b64"}: a whole request body
    Charset,
    /// {"format": "html"|"text", "content"}: what may not go out; places are counted in characters,
    /// of HTML in its text
    Screen,
    /// A whole native submission
    Entry,
}

/// Why a value is not recognised.
struct Refused {
    code: &'static str,
    detail: String,
    /// One entry per field, where there are fields.
    errors: Vec<Value>,
}

fn refused(code: &'static str, detail: impl Into<String>) -> Refused {
    Refused {
        code,
        detail: detail.into(),
        errors: Vec::new(),
    }
}

/// What some kinds need besides the value; loaded when the first value asks for it.
struct Tools<'a> {
    settings: &'a Settings,
    rules: OnceCell<Rules>,
    hub: OnceCell<(Catalogue, Connectors)>,
}

/// Says what becomes of values. What is not recognised is an answer too, not a failure.
pub(super) fn normalise(
    settings: &Settings,
    args: NormaliseArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let tools = Tools {
        settings,
        rules: OnceCell::new(),
        hub: OnceCell::new(),
    };
    let mut printed = std::io::BufWriter::new(std::io::stdout().lock());
    let mut print = |value: Result<Value, Refused>| {
        let line = value.unwrap_or_else(|refused| {
            let mut error = json!({"code": refused.code, "detail": refused.detail});
            if !refused.errors.is_empty() {
                error["errors"] = Value::Array(refused.errors);
            }
            json!({ "error": error })
        });
        writeln!(printed, "{line}")
    };
    if args.values.is_empty() {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let mut limited = std::io::Read::take(&mut input, LINE_BYTES_MAX);
            if limited.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let value = serde_json::from_slice(&line)
                .map_err(|error| refused("json", format!("这一行不是 JSON：{error}。")));
            if print(value.and_then(|value| tools.normalised(args.kind, &value))).is_err() {
                // Nobody reads any more.
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    // What begins with a dash is a value here, so the divider before it arrives as well.
    let divider = args.values.iter().position(|value| value == "--");
    let values = args.values.iter().enumerate();
    for (_, value) in values.filter(|(place, _)| Some(*place) != divider) {
        let value = match args.kind {
            Kind::Html | Kind::Charset | Kind::Screen | Kind::Entry => serde_json::from_str(value)
                .map_err(|error| refused("json", format!("不是 JSON：{error}。"))),
            _ => Ok(Value::from(value.as_str())),
        };
        if print(value.and_then(|value| tools.normalised(args.kind, &value))).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if let Some(error) = tools.hub.get().and_then(|(_, it)| it.failures().first()) {
        output.note(&format!("{} does not load", error.dir.display()));
    }
    Ok(ExitCode::SUCCESS)
}

impl Tools<'_> {
    fn rules(&self) -> &Rules {
        self.rules
            .get_or_init(|| hub::rules(self.settings).unwrap_or_else(|_| Rules::load_built_in()))
    }

    fn hub(&self) -> Result<&(Catalogue, Connectors), Refused> {
        if let Some(hub) = self.hub.get() {
            return Ok(hub);
        }
        let catalogue = Catalogue::load(&self.settings.connectors.catalogue)
            .map_err(|error| refused("catalogue", error.to_string()))?;
        let connectors = hub::load_connectors(self.settings, &References::default());
        Ok(self.hub.get_or_init(|| (catalogue, connectors)))
    }
}
