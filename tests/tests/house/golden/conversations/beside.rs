//! Samples of what `conversations.v1` says beside conversations: hosts, and grants.

use super::*;

pub(super) fn hosts() -> Vec<Golden> {
    let alive = OpenHost { host_id: HOST.to_owned(), life: Life::Alive };
    vec![
        golden::<HostLife>(
            vec![HostLifeParams { host_id: HOST.to_owned() }],
            [Life::Alive, Life::Dead, Life::Unknown].map(|life| HostLifeReply { life }).to_vec(),
            vec![],
        ),
        golden::<Hosts>(
            vec![Empty {}],
            vec![
                HostsReply { hosts: vec![alive], indexing: false },
                HostsReply { hosts: vec![], indexing: true },
            ],
            vec![],
        ),
        golden::<Bury>(
            vec![BuryParams { host_id: HOST.to_owned() }],
            vec![HostLifeReply { life: Life::Dead }],
            vec![],
        ),
    ]
}

pub(super) fn grants() -> Vec<Golden> {
    let granted = GrantedTool { tool: "shell".to_owned(), granted_at: AT, by: "user:ann".to_owned() };
    vec![
        golden::<Grants>(
            vec![GrantsParams { conversation_id: id() }],
            vec![GrantsReply { grants: vec![granted] }],
            vec![],
        ),
        golden::<Grant>(
            vec![GrantParams { conversation_id: id(), tool: "shell".to_owned(), by: "user:ann".to_owned() }],
            vec![Empty {}],
            vec![],
        ),
        golden::<Revoke>(
            vec![RevokeParams { conversation_id: id(), tool: "shell".to_owned() }],
            vec![RevokeReply { revoked: true }],
            vec![],
        ),
    ]
}
