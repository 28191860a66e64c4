//! What an intermediary must and must not forward (RFC 9110, section 7.6).

use crate::head::Fields;

/// Removes what concerns one hop only: the hop-by-hop fields and those that `Connection` names
/// (RFC 9110, section 7.6.1). `Upgrade` stays if `upgrade` says that an upgrade is under way.
pub fn strip_hop_by_hop(_fields: &mut Fields, _upgrade: bool) {
    todo!()
}
