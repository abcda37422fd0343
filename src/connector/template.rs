//! Templates and expressions of a connector: compiled once at load, bounded when run.
//!
//! Two environments: the strict one renders requests, so that a misspelt field is an error before
//! anything is sent; the lenient one reads answers, where a missing field only means that a rule
//! does not match.

use minijinja::value::Rest;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

/// Steps of the template machine per rendering; a 2 KB record needs some hundreds.
const FUEL: u64 = 2_000_000;

/// A compiled template or expression of this connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateId(String);

impl TemplateId {
    /// Stands for a text that did not compile; a connector that holds one never runs.
    pub(super) fn broken() -> Self {
        Self("broken".to_owned())
    }
}

/// All compiled texts of one connector.
#[derive(Debug)]
pub(super) struct Templates {
    strict: Environment<'static>,
    lenient: Environment<'static>,
    count: usize,
}

/// Why a text could not be compiled or rendered: one line with the place.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct TemplateError(String);

impl TemplateError {
    /// Returns the error of a file that cannot be read.
    pub(super) fn unreadable(error: std::io::Error) -> Self {
        Self(format!("an attachment cannot be read: {error}"))
    }
}

impl From<minijinja::Error> for TemplateError {
    fn from(error: minijinja::Error) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            strict: environment(UndefinedBehavior::Strict),
            lenient: environment(UndefinedBehavior::Chainable),
            count: 0,
        }
    }
}

impl Templates {
    /// Compiles a file of `templates/`; its extension before `.j2` chooses the escaping.
    ///
    /// # Errors
    /// The syntax error with its line.
    pub(super) fn add_file(
        &mut self,
        name: &str,
        source: String,
    ) -> Result<TemplateId, TemplateError> {
        self.strict.add_template_owned(name.to_owned(), source)?;
        Ok(TemplateId(name.to_owned()))
    }

    /// Compiles a text of the manifest, rendered as it is.
    ///
    /// # Errors
    /// The syntax error.
    pub(super) fn add_text(&mut self, source: &str) -> Result<TemplateId, TemplateError> {
        let name = self.next_name("text");
        self.strict
            .add_template_owned(name.clone(), source.to_owned())?;
        Ok(TemplateId(name))
    }

    /// Compiles an expression over our own data: unknown fields are errors.
    ///
    /// # Errors
    /// The syntax error.
    pub(super) fn add_expression(&mut self, source: &str) -> Result<TemplateId, TemplateError> {
        let name = self.next_name("expression");
        self.strict
            .add_template_owned(name.clone(), as_template(source))?;
        Ok(TemplateId(name))
    }

    /// Compiles an expression over an answer: unknown fields are undefined.
    ///
    /// # Errors
    /// The syntax error.
    pub(super) fn add_question(&mut self, source: &str) -> Result<TemplateId, TemplateError> {
        let name = self.next_name("question");
        self.lenient
            .add_template_owned(name.clone(), as_template(source))?;
        Ok(TemplateId(name))
    }

    /// Renders a text.
    ///
    /// # Errors
    /// An undefined field, a failing filter, or no fuel left; with the template's name and line.
    pub(super) fn render(&self, id: &TemplateId, context: &Value) -> Result<String, TemplateError> {
        Ok(self.strict.get_template(&id.0)?.render(context.clone())?)
    }

    /// Evaluates an expression over our own data.
    ///
    /// # Errors
    /// As [`Templates::render`].
    pub(super) fn evaluate(
        &self,
        id: &TemplateId,
        context: &Value,
    ) -> Result<Value, TemplateError> {
        result_of(&self.strict, id, context)
    }

    /// Asks an expression over an answer; what fails to evaluate is undefined.
    pub(super) fn ask(&self, id: &TemplateId, context: &Value) -> Value {
        result_of(&self.lenient, id, context).unwrap_or(Value::UNDEFINED)
    }

    /// Returns what is wrong with a question whatever the answer: a method, filter, function or
    /// test that does not exist. It is asked silently otherwise, and would never match.
    pub(super) fn mistake_in(&self, id: &TemplateId, context: &Value) -> Option<String> {
        use minijinja::ErrorKind as Kind;
        let template = self.lenient.get_template(&id.0).ok()?;
        let error = template.render_captured(context.clone()).err()?;
        let is_mistake = matches!(
            error.kind(),
            Kind::UnknownMethod | Kind::UnknownFunction | Kind::UnknownFilter | Kind::UnknownTest
        );
        is_mistake.then(|| TemplateError::from(error).to_string())
    }

    fn next_name(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind} {}", self.count)
    }
}

/// An expression is kept as a template that sets one variable: a compiled expression of the
/// library would borrow the environment it lives in.
fn as_template(source: &str) -> String {
    format!("{{% set result = ({source}) %}}")
}

fn result_of(
    environment: &Environment<'static>,
    id: &TemplateId,
    context: &Value,
) -> Result<Value, TemplateError> {
    let captured = environment
        .get_template(&id.0)?
        .render_captured(context.clone())?;
    Ok(captured
        .state()
        .lookup("result")
        .unwrap_or(Value::UNDEFINED))
}

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    environment.set_auto_escape_callback(|name| match name.trim_end_matches(".j2") {
        name if name.ends_with(".json") => AutoEscape::Json,
        name if name.ends_with(".xml") => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("cdata", cdata);
    environment.add_filter("as_list", as_list);
    environment.add_filter("plain_text", |html: String| {
        crate::normalise::plain_text(&html)
    });
    environment.add_filter("head", head);
    environment.add_function("code_of", code_of);
    environment
}

/// `{{ text | cdata }}`: a CDATA section; `]]>` inside is split over two sections (XML 1.0 §2.7).
fn cdata(text: String) -> Value {
    let split = text.replace("]]>", "]]]]><![CDATA[>");
    Value::from_safe_string(format!("<![CDATA[{split}]]>"))
}

/// `x | as_list`: XML shows one child as a value and several as a list; this is always a list.
fn as_list(value: Value) -> Vec<Value> {
    if value.is_undefined() || value.is_none() {
        return Vec::new();
    }
    match value.kind() {
        minijinja::value::ValueKind::Seq => {
            value.try_iter().map(Iterator::collect).unwrap_or_default()
        }
        _ => vec![value],
    }
}

/// `text | head(100)`: the first characters, with … when something was cut.
fn head(text: String, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text;
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// `code_of(table.x, word, …)`: the code of the first word the table knows, else that of `*`.
fn code_of(table: Value, words: Rest<Value>) -> Result<Value, minijinja::Error> {
    let found = words
        .iter()
        .filter(|word| !word.is_none() && !word.is_undefined())
        .chain([&Value::from("*")])
        .filter_map(|word| table.get_item(word).ok())
        .find(|code| !code.is_undefined());
    found.ok_or_else(|| {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        minijinja::Error::new(
            minijinja::ErrorKind::InvalidOperation,
            format!(
                "the code table has no entry for {} and no `*`",
                words.join(", ")
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn json_templates_quote_and_escape_by_themselves() {
        let mut templates = Templates::default();
        let id = templates
            .add_file("a.json.j2", r#"{"t": {{ t }}, "n": {{ n }}}"#.into())
            .expect("compiles");
        let text = templates
            .render(&id, &context! { t => "他说\"好\"</script>", n => 3 })
            .expect("renders");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({"t": "他说\"好\"</script>", "n": 3})
        );
    }

    #[test]
    fn a_misspelt_field_is_an_error_in_a_request_and_undefined_in_an_answer() {
        let mut templates = Templates::default();
        let text = templates.add_text("{{ record.titel }}").expect("compiles");
        let error = templates
            .render(&text, &context! { record => context! { title => "x" } })
            .expect_err("strict");
        assert!(error.to_string().contains("undefined"), "{error}");
        let question = templates.add_question("json.data.id").expect("compiles");
        assert!(
            templates
                .ask(&question, &context! { json => () })
                .is_undefined()
        );
    }

    #[test]
    fn a_bomb_runs_out_of_fuel() {
        let mut templates = Templates::default();
        let bomb = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        let id = templates.add_text(bomb).expect("compiles");
        assert!(templates.render(&id, &context! {}).is_err());
    }

    #[test]
    fn cdata_survives_its_own_end_mark() {
        let mut templates = Templates::default();
        let id = templates
            .add_file("a.xml.j2", "<a>{{ t | cdata }}</a>".into())
            .expect("compiles");
        let xml = templates
            .render(&id, &context! { t => "x]]>y<b>" })
            .expect("renders");
        let document = roxmltree::Document::parse(&xml).expect("well-formed");
        let text: String = document
            .root_element()
            .children()
            .filter_map(|n| n.text())
            .collect();
        assert_eq!(text, "x]]>y<b>");
    }
}
