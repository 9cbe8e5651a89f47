//! Which provider a turn runs with: named, the conversation's last, the build's default, or the only one there is. Never
//! a fake by itself, and never one of several by chance.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::kernel::ProvidersReply;
use dispatch_sdk::contracts::provider::ProviderSpec;
use dispatch_sdk::contracts::turns::NO_PROVIDER;
use serde_json::json;

/// The setting, as messages name it.
const DEFAULT_PROVIDER: &str = "`orchestrator.default_provider`";

/// What stands to choose from.
pub(crate) struct Providers<'a> {
    specs: Vec<&'a ProviderSpec>,
    /// Instances that would bring some, with the reason why they do not run.
    disabled: Vec<(&'a str, &'a str)>,
    /// Of the build; empty = none.
    default: &'a str,
}

impl<'a> Providers<'a> {
    pub(crate) fn of(reply: &'a ProvidersReply, default: &'a str) -> Self {
        let disabled = reply.disabled.iter();
        Self {
            specs: reply.providers.iter().collect(),
            disabled: disabled.map(|instance| (instance.id.as_str(), instance.reason.as_str())).collect(),
            default,
        }
    }

    /// The provider of the turn: `named`, else `last` if it is ready, else the default if there is one, else the only
    /// ready one that may be chosen.
    ///
    /// Errors: `no_provider`; its detail lists every provider with the reason why it is not ready.
    pub(crate) fn choose(&self, named: Option<&str>, last: Option<&str>) -> Result<String, Fault> {
        if let Some(name) = named {
            return match self.specs.iter().find(|spec| spec.name == name) {
                Some(spec) if spec.ready => Ok(spec.name.clone()),
                Some(spec) => Err(self.fault(format!("provider `{name}` is not ready: {}", reason(spec)))),
                None => Err(self.fault(format!("there is no provider `{name}`; {}", self.known()))),
            };
        }
        if let Some(spec) =
            last.and_then(|last| self.specs.iter().find(|spec| spec.name == last && spec.ready))
        {
            return Ok(spec.name.clone());
        }
        if !self.default.is_empty() {
            let name = self.default;
            return match self.specs.iter().find(|spec| spec.name == name) {
                Some(spec) if spec.ready => Ok(name.to_owned()),
                Some(spec) => Err(self.fault(format!(
                    "`{name}`, which is {DEFAULT_PROVIDER}, is not ready: {}; name another, or mend this one",
                    reason(spec)
                ))),
                None => {
                    let known = self.known();
                    Err(self.fault(format!(
                        "there is no provider `{name}`, which is {DEFAULT_PROVIDER}; {known}"
                    )))
                }
            };
        }
        let ready: Vec<&str> = self.names(|spec| spec.ready && spec.selectable);
        match ready[..] {
            [only] => Ok(only.to_owned()),
            [] => Err(self.fault(self.none_ready())),
            _ => Err(self.fault(format!(
                "several providers are ready and none is chosen; name one of {}, or set {DEFAULT_PROVIDER}",
                quoted(&ready)
            ))),
        }
    }

    fn none_ready(&self) -> String {
        let mut reasons: Vec<String> = self
            .specs
            .iter()
            .filter(|spec| !spec.ready)
            .map(|spec| format!("`{}`: {}", spec.name, reason(spec)))
            .collect();
        reasons.extend(self.disabled.iter().map(|(id, why)| format!("`{id}` does not run: {why}")));
        let why = if reasons.is_empty() { "the build has none".to_owned() } else { reasons.join("; ") };
        let fakes = self.names(|spec| spec.ready && !spec.selectable);
        let or = if fakes.is_empty() {
            "or add one to the build".to_owned()
        } else {
            format!(
                "or name {} as the provider, which needs no key and answers without a model",
                quoted(&fakes)
            )
        };
        format!("no provider is ready ({why}); set the key of one and start the host again, {or}")
    }

    fn known(&self) -> String {
        let known = self.names(|_| true);
        if known.is_empty() { "the build has none".to_owned() } else { format!("known: {}", quoted(&known)) }
    }

    fn names(&self, which: impl Fn(&ProviderSpec) -> bool) -> Vec<&'a str> {
        self.specs.iter().copied().filter(|spec| which(spec)).map(|spec| spec.name.as_str()).collect()
    }

    fn fault(&self, message: String) -> Fault {
        let specs = self
            .specs
            .iter()
            .map(|spec| json!({ "name": spec.name, "ready": spec.ready, "reason": spec.reason }));
        let disabled =
            self.disabled.iter().map(|(id, why)| json!({ "name": id, "ready": false, "reason": why }));
        let providers: Vec<_> = specs.chain(disabled).collect();
        Fault::new(NO_PROVIDER, message).with_detail(json!({ "providers": providers }))
    }
}

fn reason(spec: &ProviderSpec) -> &str {
    if spec.reason.is_empty() { "it does not say why" } else { &spec.reason }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
