//! Holds `spec/errors.md` and [`Reason`] together.

use pico_core::Reason;
use pico_sim::table;
use std::collections::BTreeSet;

/// A row of the table: code, HTTP status, WebSocket close code, RPC code.
type Row = (String, u16, u16, u8);

fn written() -> Vec<Row> {
    let page = table::page("errors.md");
    let rows = table::rows(&page, "code");
    let row = |cells: &Vec<String>| {
        assert_eq!(cells.len(), 6, "a row has six cells: {cells:?}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "no cell is empty: {cells:?}");
        let number = |at: usize| cells[at].parse::<u16>().expect("codes are numbers");
        let rpc = u8::try_from(number(3)).expect("an RPC code is one byte");
        (cells[0].clone(), number(1), number(2), rpc)
    };
    rows.iter().map(row).collect()
}

fn coded() -> Vec<Row> {
    let row = |reason: &Reason| {
        let told = reason.told();
        (told.code.to_owned(), told.status, told.close, told.rpc)
    };
    Reason::ALL.iter().map(row).collect()
}

#[test]
fn every_reason_has_its_row_and_every_row_its_reason() {
    assert_eq!(written(), coded());
}

#[test]
fn a_code_and_an_rpc_code_mean_one_reason_each() {
    let codes: BTreeSet<_> = coded().into_iter().map(|row| row.0).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
    for (at, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(reason.told().rpc), at, "{reason:?} stands at its RPC code");
        assert_eq!(Reason::from_rpc(u64::from(reason.told().rpc)), reason);
    }
}

#[test]
fn an_unknown_rpc_code_is_an_internal_error() {
    let beyond = u64::try_from(Reason::ALL.len()).expect("there are few reasons");
    assert_eq!(Reason::from_rpc(beyond), Reason::Internal);
    assert_eq!(Reason::from_rpc(u64::MAX), Reason::Internal);
}

#[test]
fn codes_are_words_that_a_program_can_rely_on() {
    for (code, status, close, _) in coded() {
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
        assert!((400..600).contains(&status), "{code} has the status of an error");
        // RFC 6455, section 7.4.1: 1004 to 1006 and 1015 must not be sent.
        let sent = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
        assert!(sent.contains(&close), "{code} has a close code that may be sent");
    }
}

#[test]
fn a_sentence_for_people_is_one_line_and_says_something() {
    for reason in Reason::ALL {
        let sentence = reason.to_string();
        assert!(!sentence.is_empty() && !sentence.contains('\n'), "{reason:?}: {sentence:?}");
        let first = sentence.chars().next().expect("not empty");
        assert!(!first.is_uppercase(), "{reason:?}: messages begin in lower case: {sentence}");
    }
}
