//! What the model can leave out, to see that something then goes wrong.

/// A rule left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    None,
    /// A fill is published whatever its ticket.
    AnyTicket,
    /// The ticket is taken when the relay has answered.
    TicketAfterAnswer,
    /// A fill moves the fence before its record is linked.
    FenceBeforeLink,
    /// A delete passes over records that are not yet readable.
    SparePending,
    /// A kill gives up when its one CAS fails.
    KillOnce,
    /// Whoever could not keep an answer leaves older copies.
    ObserveNothing,
    /// The hand takes the block that it chose, whatever that is by now.
    EvictAnything,
    /// The hand takes what a living process is still writing.
    ReclaimLiving,
    /// Nobody takes what a dead process left.
    AbandonedStays,
    /// A block is used again under the generation it had.
    SameGeneration,
    /// The slot of a record that is not yet readable counts as free.
    PendingSlotFree,
    /// A reader does not look at the control word again.
    NoRecheck,
    /// What is let go is not noted.
    LetGoUntold,
    /// What is let go is noted when it has ended.
    LetGoLate,
    /// What there is no room for is not noted.
    UnkeptUntold,
    /// A delete that leaves no record behind is not noted.
    GoneUntold,
    /// Whoever noted a version does not look again for what came late before.
    NotedAndGone,
    /// What comes late asks for the note before it looks for a newer record.
    NoteBeforeLook,
    /// What comes late is kept as what was asked for.
    LateAsAsked,
    /// A head keeps its generation, whatever its continuation had.
    NotRaised,
    /// A continuation becomes one when its head can be read already.
    JoinedLate,
    /// The hand takes a continuation without asking its head.
    HeadUnasked,
    /// The hand takes the continuation of a head that is being written.
    WrittenUnheld,
    /// The hand takes a continuation under a control word read after its link.
    JudgedLate,
    /// A record's end goes on where the continuation is not its own any more.
    EndsOthers,
}

impl Mutant {
    /// Of records of one block that are asked for.
    pub(crate) const ALL: [Mutant; 12] = [
        Mutant::AnyTicket,
        Mutant::TicketAfterAnswer,
        Mutant::FenceBeforeLink,
        Mutant::SparePending,
        Mutant::KillOnce,
        Mutant::ObserveNothing,
        Mutant::EvictAnything,
        Mutant::ReclaimLiving,
        Mutant::AbandonedStays,
        Mutant::SameGeneration,
        Mutant::PendingSlotFree,
        Mutant::NoRecheck,
    ];
    /// Of what comes by the stream.
    pub(crate) const LATE: [Mutant; 7] = [
        Mutant::LetGoUntold,
        Mutant::LetGoLate,
        Mutant::UnkeptUntold,
        Mutant::GoneUntold,
        Mutant::NotedAndGone,
        Mutant::NoteBeforeLook,
        Mutant::LateAsAsked,
    ];
    /// Of records of two blocks.
    pub(crate) const LONG: [Mutant; 6] = [
        Mutant::NotRaised,
        Mutant::JoinedLate,
        Mutant::HeadUnasked,
        Mutant::WrittenUnheld,
        Mutant::JudgedLate,
        Mutant::EndsOthers,
    ];
}
