//! Accepts connections, routes their requests, and chooses the rule that answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::asked::Asked;
use super::connection::{Connection, Ended, NoRequest, Request};
use super::log::{Log, Recorded};
use super::script::{Action, Script, When};
use super::{answer, model_name, respond, strict};

/// Most connections at once; more are closed at once.
const CONNECTIONS_MAX: usize = 4096;

/// What all connections share.
pub(super) struct Server {
    script: Script,
    pub(super) log: Log,
    n_understood: AtomicUsize,
    /// How often each rule answered.
    n_used: Mutex<Vec<usize>>,
}

impl Server {
    pub(super) fn new(script: Script) -> Self {
        Self {
            n_used: Mutex::new(vec![0; script.rules.len()]),
            script,
            log: Log::new(),
            n_understood: AtomicUsize::new(0),
        }
    }
}

/// Accepts until it is dropped.
pub(super) async fn accept(server: Arc<Server>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors or a client that left already; neither ends the server.
            tokio::task::yield_now().await;
            continue;
        };
        if server.log.counts().n_connections < CONNECTIONS_MAX {
            let connection = Connection::new(stream);
            tokio::spawn(serve(Arc::clone(&server), connection));
        }
    }
}

async fn serve(server: Arc<Server>, connection: Connection) {
    // Declared before the socket's new owner, so that the socket is closed when the count falls.
    let _open = server.log.connection();
    let mut connection = connection;
    loop {
        let request = match connection.read_request().await {
            Ok(request) => request,
            Err(NoRequest::Gone) => return,
            Err(NoRequest::Unreadable(found)) => {
                let body = respond::error_body("invalid_request_error", None, "", &found.reason);
                // The connection ends here whether or not the client reads why.
                let _ = respond::json(&mut connection, found.status, &body, false).await;
                return;
            }
        };
        let asks_close =
            request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let keep_alive = server.script.keep_alive && !asks_close;
        let answered = server.answer(&mut connection, request, keep_alive).await;
        if answered.is_err() || !keep_alive {
            return;
        }
    }
}

/// Why the server answers with an error of its own.
struct Refused {
    status: u16,
    code: Option<&'static str>,
    param: String,
    reason: String,
}

fn refused(status: u16, code: Option<&'static str>, reason: impl Into<String>) -> Refused {
    Refused { status, code, param: String::new(), reason: reason.into() }
}

/// What a request gets.
enum Plan {
    Models,
    Actions { actions: Vec<Action>, request_idx: usize },
}

impl Server {
    async fn answer(
        &self,
        connection: &mut Connection,
        request: Request,
        keep_alive: bool,
    ) -> Result<(), Ended> {
        let _answering = self.log.answer();
        let parsed = serde_json::from_slice::<Value>(&request.body);
        let body = parsed.as_ref().unwrap_or(&Value::Null);
        let planned = self.plan(&request, body);
        self.log.record(Recorded {
            at_ns: self.log.clock.now_ns(),
            refused: planned.as_ref().err().map(|refused| refused.reason.clone()),
            body: body.clone(),
            body_bytes: request.body.len(),
            method: request.method,
            path: request.path,
            headers: request.headers,
        });
        match planned {
            Err(Refused { status, code, param, reason }) => {
                let body = respond::error_body("invalid_request_error", code, &param, &reason);
                respond::json(connection, status, &body, keep_alive).await
            }
            Ok(Plan::Models) => respond::json(connection, 200, &self.models(), keep_alive).await,
            Ok(Plan::Actions { actions, request_idx }) => {
                let asked = Asked { body, request_idx };
                answer::give(connection, &actions, &asked, self.log.clock, keep_alive).await
            }
        }
    }

    fn plan(&self, request: &Request, body: &Value) -> Result<Plan, Refused> {
        let path = request.path.split('?').next().unwrap_or_default();
        let is_models = match path {
            "/v1/models" => true,
            "/v1/chat/completions" => false,
            _ => return Err(refused(404, None, format!("nothing is at `{path}`"))),
        };
        let method = if is_models { "GET" } else { "POST" };
        if request.method != method {
            return Err(refused(405, None, format!("`{path}` takes `{method}`")));
        }
        if let Some(key) = &self.script.api_key
            && request.header("authorization") != Some(&format!("Bearer {key}"))
        {
            let reason = "the key is missing or wrong";
            return Err(refused(401, Some("invalid_api_key"), reason));
        }
        if is_models {
            return Ok(Plan::Models);
        }
        self.completion(request, body)
    }

    fn completion(&self, request: &Request, body: &Value) -> Result<Plan, Refused> {
        if !body.is_object() {
            return Err(refused(400, None, "the body is not a JSON object"));
        }
        if self.script.strict {
            let content_type = request.header("content-type").unwrap_or_default();
            if !content_type.starts_with("application/json") {
                let reason = format!("`content-type: {content_type}`, not `application/json`");
                return Err(refused(400, None, reason));
            }
            strict::check(&self.script, body)
                .map_err(|refusal| Refused { param: refusal.param, ..refused(400, None, refusal.reason) })?;
        }
        let request_idx = self.n_understood.fetch_add(1, Ordering::Relaxed);
        let asked = Asked { body, request_idx };
        if let Some(actions) = self.choose(&asked) {
            return Ok(Plan::Actions { actions, request_idx });
        }
        match model_name::answer(&asked) {
            Some(actions) => Ok(Plan::Actions { actions, request_idx }),
            None => {
                let model = asked.model();
                let reason = format!(
                    "no rule of the script is left for a request to `{model}`, and no built-in model has this name"
                );
                Err(refused(404, Some("model_not_found"), reason))
            }
        }
    }

    fn choose(&self, asked: &Asked) -> Option<Vec<Action>> {
        let mut n_used = self.n_used.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = self.script.rules.iter().zip(n_used.iter_mut());
        for (rule, n_used) in rules {
            let is_left = rule.times.is_none_or(|times| *n_used < times);
            if is_left && matches(&rule.when, asked) {
                *n_used += 1;
                return Some(rule.answer.clone());
            }
        }
        None
    }

    fn models(&self) -> Value {
        let listed: Vec<&str> = match self.script.models.is_empty() {
            true => model_name::LISTED.to_vec(),
            false => self.script.models.iter().map(String::as_str).collect(),
        };
        let entry = |id: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": "fake"});
        let data: Vec<Value> = listed.into_iter().map(entry).collect();
        json!({"object": "list", "data": data})
    }
}

fn matches(when: &When, asked: &Asked) -> bool {
    let model = when.model.as_deref().is_none_or(|model| match model.strip_suffix('*') {
        Some(beginning) => asked.model().starts_with(beginning),
        None => asked.model() == model,
    });
    let user = when.last_user_contains.as_deref().is_none_or(|text| {
        let last = asked.last("user");
        last.is_some_and(|last| last.contains(text))
    });
    let results = when.n_tool_results;
    let results_in_turn = when.n_tool_results_in_turn;
    model
        && user
        && results.is_none_or(|n| asked.tool_results().len() == n)
        && results_in_turn.is_none_or(|n| asked.n_tool_results_in_turn() == n)
        && when.request_idx.is_none_or(|idx| asked.request_idx == idx)
}
