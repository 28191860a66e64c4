//! Which endpoint a request names.

use crate::choices::Choices;
use http::Method;
use pico_core::Reason;
use pico_core::head::{Fields, RequestHead, valid_target, valid_value};
use pico_core::routing::{EndpointId, endpoint_of};

/// A head with hosts and endpoint fields of any bytes.
pub(super) fn name(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut fields = Fields::new();
    let (mut named, mut hosts) = (Vec::new(), Vec::new());
    for _ in 0..choices.below(4) {
        let (name, values) = if choices.chance(1, 2) {
            (*choices.pick(&["x-pico-endpoint", "X-Pico-Endpoint"]), &mut named)
        } else {
            (*choices.pick(&["host", "Host"]), &mut hosts)
        };
        let value = choices.bytes(140).trim_ascii();
        if valid_value(value) {
            fields.push(name.as_bytes(), value);
            values.push(value);
        }
    }
    let target = choices.bytes(60);
    let target = if valid_target(target) { target } else { b"/" };
    let found = endpoint_of(&RequestHead::new(Method::GET, target, fields));
    match (&named[..], &found) {
        ([only], Ok(id)) => assert!(only.eq_ignore_ascii_case(id.as_str().as_bytes())),
        ([_] | [_, _, ..], Err(reason)) => assert_eq!(*reason, Reason::InvalidEndpoint),
        ([_, _, ..], Ok(id)) => panic!("two fields, but {id}"),
        ([], Ok(id)) => {
            let places = hosts.iter().copied().chain([target]);
            let stands = |place: &[u8]| {
                place.to_ascii_lowercase().windows(id.as_str().len() + 1).any(|part| {
                    part.strip_suffix(b".").is_some_and(|label| label == id.as_str().as_bytes())
                })
            };
            assert!(places.into_iter().any(stands), "{id} stands nowhere as a label");
            assert!(!id.as_str().contains('.'), "{id} is more than one label");
        }
        ([], Err(reason)) => {
            assert!(matches!(reason, Reason::MissingEndpoint | Reason::InvalidEndpoint));
        }
    }
    if let Ok(id) = found {
        assert!((1..=128).contains(&id.as_str().len()));
        assert!(!id.as_str().bytes().any(|byte| byte.is_ascii_uppercase()));
        assert_eq!(EndpointId::parse(id.as_str().as_bytes()), Ok(id));
    }
}
