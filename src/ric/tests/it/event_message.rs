//! An answer to `next`, as the platform makes it.

/// The bytes of an event with the headers that the platform sends, and more; one of the usual name replaces the usual one,
/// and an empty value removes it. `deadline`: milliseconds since 1970.
pub fn event_message(id: &str, deadline: &str, body: &[u8], headers: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![
        ("Lambda-Runtime-Aws-Request-Id", id),
        ("Lambda-Runtime-Deadline-Ms", deadline),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:us-east-1:012345678912:function:f",
        ),
        ("Content-Type", "application/json"),
    ];
    all.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
    all.extend(headers.iter().filter(|(_, value)| !value.is_empty()));
    let mut message = "HTTP/1.1 200 OK\r\n".to_owned();
    for (name, value) in all {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [message.as_bytes(), body].concat()
}
