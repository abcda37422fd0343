//! Makes the requests of a connector: the items of a step, the body, what proves who we are.

use super::Connector;
use super::auth::{CompiledAuth, Moment, Session};
use super::body::Body;
use super::compiled::{CompiledStep, Operation};
use super::facts::Facts;
use super::manifest::IdentityMode;
use super::request::{RenderError, Renderer, Request, with_item};
use super::template::{TemplateError, TemplateId};
use minijinja::{Value, context};
use url::Url;

impl Connector {
    /// Returns the items of a step: one `None` without `for_each`, none when `when` is false.
    ///
    /// # Errors
    /// An expression that fails.
    pub fn items(
        &self,
        step: &CompiledStep,
        facts: &Facts,
    ) -> Result<Vec<Option<Value>>, RenderError> {
        let context = self.context(facts, &Session::default());
        let failed = |error: TemplateError| RenderError::Template {
            step: step.name.clone(),
            problem: error.to_string(),
        };
        if let Some(when) = &step.when
            && !self
                .templates
                .evaluate(when, &context)
                .map_err(failed)?
                .is_true()
        {
            return Ok(Vec::new());
        }
        let Some(for_each) = &step.for_each else {
            return Ok(vec![None]);
        };
        let list = self
            .templates
            .evaluate(for_each, &context)
            .map_err(failed)?;
        let list = list.try_iter().map_err(|error| failed(error.into()))?;
        Ok(list.map(Some).collect())
    }

    /// Renders and signs the request of a step.
    ///
    /// # Errors
    /// See [`RenderError`]; nothing was sent.
    pub fn request(
        &self,
        step: &CompiledStep,
        facts: &Facts,
        item: Option<&Value>,
        session: &Session,
        moment: &Moment,
    ) -> Result<Request, RenderError> {
        let mut context = self.context(facts, session);
        if let Some(item) = item {
            context = with_item(&context, item.clone());
        }
        let failed = |error: TemplateError| RenderError::Template {
            step: step.name.clone(),
            problem: error.to_string(),
        };
        let wsse = self
            .auth
            .wsse(&self.templates, &context, moment)
            .map_err(failed)?;
        let context = context! { wsse => wsse, ..context };
        let renderer = Renderer {
            templates: &self.templates,
            step,
            context: &context,
            files: &facts.files,
        };
        let url = self.address(&renderer, &step.path)?;
        let body = renderer.body()?;
        let max = self.manifest.limits.request_bytes_max as u64;
        if body.body.len() > max {
            return Err(RenderError::TooLarge {
                step: step.name.clone(),
                bytes: body.body.len(),
                max,
            });
        }
        let mut request = Request {
            method: step.method.clone(),
            url,
            headers: Vec::new(),
            body: body.body,
            shown_body: body.shown,
        };
        if let Some(content_type) = step.content_type.clone().or(body.content_type) {
            request
                .headers
                .push(("Content-Type".to_owned(), content_type));
        }
        if let Some(header) = self.idempotency_header(step) {
            request.headers.push((header.to_owned(), facts.key.clone()));
        }
        for (name, template) in &step.headers {
            request
                .headers
                .push((name.clone(), renderer.text(template)?));
        }
        let is_login = self
            .login_step()
            .is_some_and(|login| std::ptr::eq(login, step));
        if !is_login {
            self.auth
                .apply(&self.templates, &context, moment, &mut request)
                .map_err(failed)?;
        }
        Ok(request)
    }

    /// Returns the OAuth 2 token request, when that is how the platform wants it.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub fn token_request(&self) -> Result<Option<Request>, RenderError> {
        let CompiledAuth::Oauth2 {
            token_path,
            client_id,
            client_secret,
            scope,
        } = &self.auth
        else {
            return Ok(None);
        };
        let context = self.context(&Facts::default(), &Session::default());
        let failed = |error: TemplateError| RenderError::Template {
            step: "token".to_owned(),
            problem: error.to_string(),
        };
        let render = |id: &TemplateId| self.templates.render(id, &context).map_err(failed);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &render(client_id)?);
        form.append_pair("client_secret", &render(client_secret)?);
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        let body = form.finish();
        Ok(Some(Request {
            method: "POST".to_owned(),
            url: self.allowed("token", &render(token_path)?)?,
            headers: vec![(
                "Content-Type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            )],
            body: Body::from(body.clone()),
            shown_body: body,
        }))
    }

    /// Only creating wants the key: a platform may answer anything else that bears it with what
    /// it answered to the create.
    fn idempotency_header(&self, step: &CompiledStep) -> Option<&str> {
        let identity = &self.manifest.identity;
        let creates = self
            .steps(Operation::Publish)
            .iter()
            .any(|publish| std::ptr::eq(publish, step));
        match identity.mode {
            IdentityMode::IdempotencyHeader if creates => identity.header.as_deref(),
            IdentityMode::IdempotencyHeader | IdentityMode::ClientId | IdentityMode::LookUp => None,
        }
    }

    fn address(&self, renderer: &Renderer<'_>, path: &TemplateId) -> Result<Url, RenderError> {
        self.allowed(&renderer.step.name, &renderer.text(path)?)
    }
}
