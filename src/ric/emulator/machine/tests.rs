use super::*;

fn event(id: &str) -> Event {
    Event {
        request_id: id.to_owned(),
        invocation_id: format!("i-{id}"),
        ..Event::default()
    }
}

fn piece(text: &str) -> Progress {
    Progress::Piece(text.into())
}

#[test]
fn one_event_after_another() {
    let mut machine = Machine::new(false);
    let first = machine.start();
    for id in ["a", "b"] {
        machine.ask(first).unwrap();
        assert!(machine.is_ready());
        assert_eq!(machine.next(first), Next::Wait);
        machine.offer(event(id));
        assert_eq!(machine.next(first), Next::Event(event(id)));
        assert!(!machine.is_ready());
        assert_eq!(machine.progress(id), None);
        machine.begin(id, None, "t").unwrap();
        assert_eq!(machine.piece(id, b"xy".to_vec()), Ok(2));
        assert_eq!(machine.progress(id), Some(Progress::Begun("t".to_owned())));
        assert_eq!(machine.progress(id), Some(piece("xy")));
        assert_eq!((machine.progress(id), machine.untaken(id)), (None, Some(0)));
        machine
            .end(id, Some(&format!("i-{id}")), Outcome::Complete)
            .unwrap();
        let ended = Some(Progress::Ended(Outcome::Complete));
        assert_eq!(machine.progress(id), ended);
        assert!(!machine.is_ready());
        machine.ask(first).unwrap();
        machine.close(id);
    }
}

#[test]
fn what_comes_at_the_wrong_time_is_refused() {
    let (transition, id) = (Refusal::state_transition(), Refusal::request_id());
    let mut machine = Machine::new(false);
    let first = machine.start();
    machine.offer(event("a"));
    assert_eq!(
        machine.begin("a", None, "t"),
        Err(id.clone()),
        "not handed out yet"
    );
    machine.ask(first).unwrap();
    machine.next(first);
    assert_eq!(machine.ask(first), Err(transition.clone()));
    assert_eq!(machine.init_error(), Err(transition.clone()));
    assert_eq!(machine.end("b", None, Outcome::TooLarge), Err(id.clone()));
    let gone = Err(Refusal::gone());
    assert_eq!(machine.begin("a", Some("another"), "t"), gone);
    machine.begin("a", None, "t").unwrap();
    assert_eq!(machine.begin("a", None, "t"), Err(transition.clone()));
    machine.end("a", None, Outcome::Complete).unwrap();
    assert_eq!(machine.piece("a", vec![1]), Err(transition));
    machine.close("a");
    assert_eq!(machine.end("a", None, Outcome::Complete), Err(id));
}

#[test]
fn a_concurrent_runtime_asks_for_more() {
    let mut machine = Machine::new(true);
    let first = machine.start();
    for id in ["a", "b"] {
        machine.ask(first).unwrap();
        machine.offer(event(id));
        assert_eq!(machine.next(first), Next::Event(event(id)));
        assert!(machine.is_ready());
    }
    machine.close("a");
    let gone = Err(Refusal::gone());
    assert_eq!(machine.end("a", None, Outcome::Complete), gone);
    machine.end("b", None, Outcome::Complete).unwrap();
}

#[test]
fn an_abandoned_response_tells_its_sender() {
    let mut machine = Machine::new(false);
    let first = machine.start();
    machine.offer(event("a"));
    machine.ask(first).unwrap();
    machine.next(first);
    machine.begin("a", None, "t").unwrap();
    machine.piece("a", vec![0; 9]).unwrap();
    machine.abandon("a", Taker::Left);
    assert_eq!(machine.piece("a", vec![0; 9]), Ok(0));
    machine.abandon("a", Taker::Refuses(Refusal::too_large()));
    assert_eq!(machine.untaken("a"), None);
    assert_eq!(machine.piece("a", vec![0; 9]), Err(Refusal::too_large()));
    machine.end("a", None, Outcome::TooLarge).unwrap();
}

#[test]
fn a_dead_runtime_is_replaced_and_its_remains_get_nothing() {
    let mut machine = Machine::new(false);
    let first = machine.start();
    machine.offer(event("a"));
    machine.ask(first).unwrap();
    machine.next(first);
    let died = Outcome::Failed("Runtime.ExitError", "exit status 1".to_owned());
    machine.fail(&died);
    machine.stop();
    assert_eq!(machine.progress("a"), Some(Progress::Ended(died)));
    machine.close("a");
    let second = machine.start();
    machine.offer(event("b"));
    assert_eq!(machine.ask(first), Ok(()));
    assert_eq!(machine.next(first), Next::Gone);
    machine.ask(second).unwrap();
    assert_eq!(machine.next(second), Next::Event(event("b")));
    machine.put_back(event("b"));
    assert_eq!(machine.next(second), Next::Event(event("b")));
}

#[test]
fn an_init_error_comes_only_while_starting() {
    let mut machine = Machine::new(false);
    let first = machine.start();
    machine.init_error().unwrap();
    assert_eq!(machine.init_error(), Err(Refusal::state_transition()));
    assert_eq!(machine.ask(first), Err(Refusal::state_transition()));
    assert_eq!(machine.next(first), Next::Gone);
}
