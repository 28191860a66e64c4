//! Whether operators are told.

use super::{Broken, Invariant, Judge as Look, New};
use crate::actors::{Answer, Operator, Question};
use crate::case::{Fault, Member, Role};
use crate::kernel::SeatId;
use crate::run::{Life, Moment, Run};
use core::time::Duration;
use pico_core::{Instant, Limits, Reason};

/// Looks at what became of the questions of operators.
#[derive(Debug, Default)]
pub(super) struct Judge {
    new: New,
    /// Questions that had not ended when they were looked at last.
    open: Vec<usize>,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 15,
            name: "told",
            sentence: "an operator gets a whole answer, or one clean error, within the time-outs \
                       of the status API, whichever node is asked about; and once all is healed, \
                       an answer",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        for life in run.cast.of(Role::Operator) {
            let seat = life.seats[0];
            let all = run.world.host::<Operator>(seat).questions();
            let known = all.len() - self.new.of(seat, all).len();
            self.open.extend(known..all.len());
            let open = std::mem::take(&mut self.open);
            for at in open {
                let question = &all[at];
                if question.ended.is_none() {
                    self.open.push(at);
                } else if !fair(run, seat, question) {
                    let broken = self.broken(run, verdict(question));
                    let broken = broken.seen(format_args!("{question:?}"));
                    let ended = question.ended.unwrap_or(question.began);
                    return Err(broken.at(ended).by(seat));
                }
            }
        }
        if run.moment == Moment::Rest && !self.open.is_empty() {
            return Err(self.broken(run, format!("{} questions never ended", self.open.len())));
        }
        Ok(())
    }
}

/// Whether a question ended as it may.
fn fair(run: &Run, seat: SeatId, question: &Question) -> bool {
    let ended = question.ended.unwrap_or(question.began);
    let calm = calm(run, question.began);
    let hit = run.world.net().was_hit(seat, question.conn);
    // Whoever dies says nothing more, and whoever sleeps says it later.
    let asked = Member { role: Role::Node, at: question.to };
    let mut lives = run.cast.of(Role::Node).filter(|life| life.member == asked);
    let gone = !lives.any(|life| throughout(life, question.began, ended));
    let excused = hit || gone || sleeps(run, asked);
    match &question.answer {
        Answer::Open | Answer::Wrong(_) => false,
        Answer::Said(200, _) => quick(question, ended) || excused,
        Answer::Said(status, code) => {
            let fits = known(*status, code, question);
            fits && (quick(question, ended) || excused) && (!calm || meant(*status, question, run))
        }
        Answer::Unreachable | Answer::Broken => excused || !calm,
        Answer::Silence => excused || question.connected.is_none(),
    }
}

/// What an operator asked, and what came of it, in words.
fn verdict(question: &Question) -> String {
    let Question { to, path, began, ended, answer, .. } = question;
    let took = ended.unwrap_or(*began).since(*began);
    let how = match answer {
        Answer::Open => "has no end yet".into(),
        Answer::Said(status, code) => {
            format!("was answered {}", format!("{status} {code}").trim_end())
        }
        Answer::Unreachable => "found nobody there".into(),
        Answer::Broken => "was cut before its answer had ended".into(),
        Answer::Silence => "met with silence".into(),
        Answer::Wrong(why) => format!("got an answer that is not right: {why}"),
    };
    format!("GET {path} at node-{to} {how}, after {took:.1?}")
}

/// Whether it was answered within the longest time-out that there is for it, and what the way to
/// it takes.
fn quick(question: &Question, ended: Instant) -> bool {
    let limits = Limits::default();
    let remote = question.about.map_or(Duration::ZERO, |_| limits.status_remote_timeout);
    let began = question.connected.unwrap_or(question.began);
    question.head.unwrap_or(ended).since(began) <= limits.status_timeout + remote + WAY
}

/// Whether the table of reasons has this status with this code, or it says that a node is not
/// ready.
fn known(status: u16, code: &str, question: &Question) -> bool {
    let told = Reason::ALL.iter().map(|reason| reason.told());
    let mut fits = told.filter(|told| told.status == status && told.code == code);
    fits.next().is_some() || (status == 503 && question.path.starts_with("/ready"))
}

/// Whether an error is what the question asks for.
fn meant(status: u16, question: &Question, run: &Run) -> bool {
    let nobody = question.about == Some(run.case.shape.nodes);
    // It may have been told to leave, or have come back under another name.
    let there = |life: &Life| {
        life.told.is_none() && question.path.ends_with(&format!("node={}", life.name))
    };
    let gone = question
        .about
        .is_some_and(|at| !run.cast.now(Member { role: Role::Node, at }).is_some_and(there));
    // A node that is in no cluster knows nobody, not even by its own name; nor may one that finds
    // nobody whom it could join.
    let lonely = run.case.shape.nodes == 1 || !run.can_be_joined();
    let alone = question.about.is_some() && lonely;
    let endpoint = status == 404 && question.path.starts_with("/status/endpoints/");
    nobody || gone || alone || endpoint
}

/// Whether nothing goes wrong any more, and has not for long.
fn calm(run: &Run, at: Instant) -> bool {
    let healed = Instant::ZERO + run.case.heal.0 + super::gossipers::bound(run);
    at >= healed && run.moment < Moment::Stopping && run.case.link.loss.millionths() == 0
}

/// Whether this life went on all the time, without having been told to stop.
fn throughout(life: &Life, from: Instant, to: Instant) -> bool {
    life.born <= from
        && life.ended.is_none_or(|ended| ended > to)
        && life.told.is_none_or(|told| told > to)
}

/// Whether a node may be slow.
fn sleeps(run: &Run, member: Member) -> bool {
    run.case.faults.iter().any(|fault| match fault {
        Fault::Pause { who, .. } | Fault::Slow { who, .. } => run.case.shape.means(who, member),
        Fault::Crash { .. }
        | Fault::PowerLoss { .. }
        | Fault::Stop { .. }
        | Fault::Drift { .. }
        | Fault::ClockBack { .. }
        | Fault::Namesake { .. }
        | Fault::Recycled { .. }
        | Fault::Turnover { .. }
        | Fault::Intruder { .. }
        | Fault::Churn { .. }
        | Fault::Cut { .. }
        | Fault::Weather { .. }
        | Fault::Reset { .. }
        | Fault::Stall { .. }
        | Fault::Refuse { .. }
        | Fault::Blackhole { .. }
        | Fault::Names { .. } => false,
    })
}

/// What question and answer take on their way: some round trips of the slowest link.
const WAY: Duration = Duration::from_secs(3);
