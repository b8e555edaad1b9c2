use super::*;

fn kind<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.status, 403);
    refusal.kind
}

#[test]
fn an_external_extension_lives() {
    let mut all = Extensions::new(&["x.sh".to_owned()], false);
    assert!(!all.are_registered());
    let id = all.register("x.sh", &["INVOKE", "SHUTDOWN"]).unwrap();
    assert!(all.are_registered() && !all.are_ready());
    all.ask(&id).unwrap();
    assert_eq!(all.next(&id), Ok(Next::Wait));
    assert!(all.are_ready());
    all.invoke("1");
    assert!(!all.are_ready());
    assert_eq!(all.next(&id), Ok(Next::Event("1".to_owned())));
    assert!(!all.are_ready());
    all.ask(&id.to_uppercase()).unwrap();
    assert!(all.are_ready());
    assert_eq!(all.shut_down("2"), [""; 0]);
    assert_eq!(all.next(&id), Ok(Next::Event("2".to_owned())));
    let summary = (
        "x.sh".to_owned(),
        "Running".to_owned(),
        vec!["INVOKE", "SHUTDOWN"],
    );
    assert_eq!(all.summaries(), [summary]);
}

#[test]
fn an_invocation_that_ended_at_once_is_told_before_the_end() {
    let mut all = Extensions::new(&["x".to_owned()], false);
    let id = all.register("x", &["INVOKE", "SHUTDOWN"]).unwrap();
    all.ask(&id).unwrap();
    all.invoke("1");
    assert_eq!(all.shut_down("2"), [""; 0]);
    for event in ["1", "2"] {
        all.ask(&id).unwrap();
        assert_eq!(all.next(&id), Ok(Next::Event(event.to_owned())));
    }
}

#[test]
fn internal_ones_get_no_shutdown_event() {
    let mut all = Extensions::new(&[], false);
    assert_eq!(
        kind(all.register("in", &["SHUTDOWN"])),
        "Extension.InvalidEventType"
    );
    let id = all.register("in", &["INVOKE"]).unwrap();
    assert_eq!(
        kind(all.register("in", &[])),
        "Extension.InvalidExtensionState"
    );
    assert_eq!(
        (all.kinds(), all.name(&id)),
        ((true, false), Ok("in".to_owned()))
    );
    assert_eq!(all.shut_down("s"), [""; 0]);
    all.ask(&id).unwrap();
    assert_eq!(all.next(&id), Ok(Next::Wait));
}

#[test]
fn what_comes_at_the_wrong_time_is_refused() {
    let mut all = Extensions::new(&["x".to_owned()], true);
    for event in ["INVOKE", "invoke", ""] {
        assert_eq!(
            kind(all.register("x", &[event])),
            "Extension.InvalidEventType"
        );
    }
    assert_eq!(
        kind(all.ask("nobody")),
        "Extension.UnknownExtensionIdentifier"
    );
    let id = all.register("x", &[]).unwrap();
    assert_eq!(
        kind(all.register("x", &[])),
        "Extension.InvalidExtensionState"
    );
    assert_eq!(kind(all.next(&id)), "Extension.InvalidExtensionState");
    assert_eq!(all.init_error(&id), Ok("x".to_owned()));
    assert_eq!(kind(all.init_error(&id)), "Extension.InvalidExtensionState");
    assert_eq!(kind(all.exit_error(&id)), "Extension.InvalidExtensionState");
    assert_eq!(kind(all.ask(&id)), "Extension.InvalidExtensionState");
    assert_eq!(all.shut_down("s"), ["x"]);
    for number in 1..MOST {
        all.register(&number.to_string(), &[]).unwrap();
    }
    assert_eq!(
        kind(all.register("more", &[])),
        "Extension.TooManyExtensions"
    );
    all.close();
    assert_eq!(
        kind(all.register("late", &[])),
        "Extension.RegistrationClosed"
    );
}
