//! `WWW-Authenticate`: what a registry wants to see before it answers.

/// One challenge: a scheme and its parameters, both names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registry) struct Challenge {
    pub(in crate::registry) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(in crate::registry) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// `Scheme key="value", key=value, Scheme …`; what does not fit the grammar ends the list.
pub(in crate::registry) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let Some((value, after)) = parse_value(value.trim_start()) else {
                break;
            };
            let Some(challenge) = challenges.last_mut() else {
                break;
            };
            challenge
                .parameters
                .push((word.to_ascii_lowercase(), value));
            rest = after;
        } else {
            challenges.push(Challenge {
                scheme: word.to_ascii_lowercase(),
                parameters: Vec::new(),
            });
            rest = after;
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges
}

fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token(c)).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_parsed() {
        let one =
            parse(r#"Bearer realm="https://a/t?x=1,2",service="s \"q\"", scope=repository:a:pull"#);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].scheme, "bearer");
        assert_eq!(one[0].get("realm"), Some("https://a/t?x=1,2"));
        assert_eq!(one[0].get("service"), Some("s \"q\""));
        let two = parse(r#"Basic realm="x", Bearer realm="y""#);
        let schemes: Vec<_> = two
            .iter()
            .map(|c| (c.scheme.as_str(), c.get("realm").unwrap()))
            .collect();
        assert_eq!(schemes, [("basic", "x"), ("bearer", "y")]);
        for broken in [
            "",
            ",,",
            "=x",
            "Bearer realm=\"x",
            "\"\"",
            "é",
            "Bearer realm=\"x\\",
        ] {
            assert!(
                parse(broken).iter().all(|c| c.parameters.is_empty()),
                "{broken}"
            );
        }
    }
}
