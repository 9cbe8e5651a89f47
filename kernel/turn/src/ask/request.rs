//! What goes to the provider: the offers and the input of the turn, the request of each step, after their filters.

use crate::commit::events::raw;
use crate::ctx::Ctx;
use crate::filter::filter_ops::RequestFields;
use crate::filter::filters::{self, Subject};
use crate::parts;
use dispatch_contracts::Fault;
use dispatch_contracts::event::EventBody;
use dispatch_contracts::filter::Point;
use dispatch_contracts::message::Role;
use dispatch_contracts::provider::{FaultClass, StreamParams, ToolOffer};
use dispatch_contracts::tool::ToolSpec;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A request that can be sent more than once.
pub(crate) struct Request<'h> {
    fields: RequestFields,
    messages: Cow<'h, [Box<RawValue>]>,
    offers: &'h [ToolOffer],
}

impl<'h> Request<'h> {
    /// The request of a step; what filters change goes into this request alone, not into the history.
    pub(crate) async fn prepare(
        ctx: &Ctx<'_>,
        history: &'h [Box<RawValue>],
        offers: &'h [ToolOffer],
        changed: &mut Vec<EventBody>,
    ) -> Result<Self, Fault> {
        check_size(ctx, history)?;
        let mut messages = Cow::Borrowed(history);
        if ctx.tools.filtered(Point::TurnMessages) {
            let value = Subject::List(history.to_vec());
            let value = filters::apply(ctx, Point::TurnMessages, None, value, changed).await?;
            messages = Cow::Owned(value.into_list());
            check_size(ctx, &messages)?;
        }
        if !ctx.tools.images {
            for at in 0..messages.len() {
                if let Some(worded) = parts::in_words(&messages[at]) {
                    messages.to_mut()[at] = worded;
                }
            }
        }
        let mut fields = RequestFields {
            model: ctx.about.model.clone(),
            system: ctx.about.system.clone(),
            output_tokens_max: None,
            temperature: None,
        };
        if ctx.tools.filtered(Point::ProviderRequest) {
            let value = Subject::object(&fields);
            let value = filters::apply(ctx, Point::ProviderRequest, None, value, changed).await?;
            fields = value.parse_object();
        }
        Ok(Self { fields, messages, offers })
    }

    /// The model that is asked for; empty = the provider's default.
    pub(crate) fn model(&self) -> &str {
        &self.fields.model
    }

    /// The parameters of one attempt.
    pub(crate) fn params(&self) -> StreamParams {
        StreamParams {
            model: self.fields.model.clone(),
            system: self.fields.system.clone(),
            messages: self.messages.to_vec(),
            tools: self.offers.to_vec(),
            output_tokens_max: self.fields.output_tokens_max,
            temperature: self.fields.temperature,
        }
    }
}

/// Errors: `context_overflow` the messages have more bytes than one request may send.
fn check_size(ctx: &Ctx<'_>, messages: &[Box<RawValue>]) -> Result<(), Fault> {
    let n_bytes: usize = messages.iter().map(|message| message.get().len()).sum();
    let bytes_max = ctx.tools.limits.history_bytes_max;
    if n_bytes <= bytes_max {
        return Ok(());
    }
    let message = format!(
        "the history has {n_bytes} bytes in {} messages, and a request sends at most {bytes_max}; begin a new conversation",
        messages.len()
    );
    Err(Fault::new(FaultClass::ContextOverflow.code(), message))
}

/// The tools offered from now on, if what there is has changed.
pub(crate) async fn renewed_offers(
    ctx: &Ctx<'_>,
    changed: &mut Vec<EventBody>,
) -> Result<Option<Vec<ToolOffer>>, Fault> {
    let renewed = ctx.ports.renewed_tools().map(|tools| tools.reaching(&ctx.about.computer));
    if !renewed.is_some_and(|tools| ctx.tools.renew(tools)) {
        return Ok(None);
    }
    offers(ctx, changed).await.map(Some)
}

/// The tools offered.
pub(crate) async fn offers(ctx: &Ctx<'_>, changed: &mut Vec<EventBody>) -> Result<Vec<ToolOffer>, Fault> {
    let offer = |tool: &ToolSpec| ToolOffer {
        name: tool.name.clone(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
    };
    let offers: Vec<_> = ctx.tools.specs().iter().map(offer).collect();
    if !ctx.tools.filtered(Point::TurnTools) {
        return Ok(offers);
    }
    let value = filters::apply(ctx, Point::TurnTools, None, Subject::list(&offers), changed).await?;
    let mut offers: Vec<ToolOffer> = value.parse_list();
    // What is not there, or out of reach, cannot be offered by a filter either.
    offers.retain(|offer| ctx.tools.spec(&offer.name).is_some());
    Ok(offers)
}

/// Filters the parts of the last message, if a user said it; the change is for the model alone and is not committed.
pub(crate) async fn filter_input(
    ctx: &Ctx<'_>,
    history: &mut [Box<RawValue>],
    changed: &mut Vec<EventBody>,
) -> Result<(), Fault> {
    #[derive(Serialize, Deserialize)]
    struct Input {
        role: Role,
        parts: Vec<Box<RawValue>>,
    }
    if !ctx.tools.filtered(Point::TurnInput) {
        return Ok(());
    }
    let Some(last) = history.last_mut() else { return Ok(()) };
    let Ok(Input { role: Role::User, parts }) = serde_json::from_str(last.get()) else { return Ok(()) };
    let value = filters::apply(ctx, Point::TurnInput, None, Subject::List(parts), changed).await?;
    if !changed.is_empty() {
        *last = raw(&Input { role: Role::User, parts: value.into_list() });
    }
    Ok(())
}
