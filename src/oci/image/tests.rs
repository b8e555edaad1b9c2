use super::*;
use crate::{Entry, LayerWriter, Tree};

fn epoch() -> Epoch {
    Epoch::new(1_700_000_000).unwrap()
}

fn layer(dir: &std::path::Path, file: &str) -> Layer {
    let mut tree = Tree::new();
    tree.insert(file.parse().unwrap(), Entry::file(file, 0o755))
        .unwrap();
    LayerWriter::new(dir, epoch(), 1).write(&tree).unwrap()
}

fn run() -> RunConfig {
    RunConfig {
        env: vec![
            ("PATH".to_owned(), "/var/lang/bin:/bin".to_owned()),
            ("LANG".to_owned(), "en_US.UTF-8".to_owned()),
        ],
        workdir: "/var/task".to_owned(),
        entrypoint: vec!["/var/runtime/bootstrap".to_owned()],
        cmd: Vec::new(),
        labels: BTreeMap::from([
            ("z".to_owned(), "last".to_owned()),
            ("a".to_owned(), "first".to_owned()),
        ]),
    }
}

fn base_config(layers: &[Layer], history: &str) -> String {
    let ids: Vec<String> = layers
        .iter()
        .map(|l| format!("\"{}\"", l.diff_id()))
        .collect();
    format!(
        r#"{{"architecture":"arm64","os":"linux","created":"2026-01-01T00:00:00Z",
            "config":{{"Env":["BASE=1"],"Cmd":["/bin/bash"]}},
            "rootfs":{{"type":"layers","diff_ids":[{}]}},"history":[{history}]}}"#,
        ids.join(",")
    )
}

#[test]
fn the_documents_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let base = layer(dir.path(), "base");
    let own = layer(dir.path(), "own");
    let config = base_config(
        std::slice::from_ref(&base),
        r#"{"created":"2026-01-01T00:00:00.5Z","created_by":"ADD rootfs","comment":"imgbuild"},
           {"created_by":"CMD [\"/bin/bash\"]","empty_layer":true}"#,
    );
    let build = || {
        ImageBuilder::new(Platform::linux("arm64"), epoch())
            .base(vec![base.clone()], config.as_bytes())
            .unwrap()
            .layer(own.clone(), "CPython 3.13")
            .run(run())
            .annotation("b", "2")
            .annotation("a", "1")
            .build()
            .unwrap()
    };
    let image = build();
    let expected = format!(
        concat!(
            r#"{{"created":"2023-11-14T22:13:20Z","architecture":"arm64","os":"linux","#,
            r#""config":{{"Env":["PATH=/var/lang/bin:/bin","LANG=en_US.UTF-8"],"#,
            r#""Entrypoint":["/var/runtime/bootstrap"],"WorkingDir":"/var/task","#,
            r#""Labels":{{"a":"first","z":"last"}}}},"#,
            r#""rootfs":{{"type":"layers","diff_ids":["{}","{}"]}},"#,
            r#""history":[{{"created":"2026-01-01T00:00:00.5Z","created_by":"ADD rootfs"}},"#,
            r#"{{"created":"2023-11-14T22:13:20Z","created_by":"CPython 3.13","comment":"imgbuild"}}]}}"#,
        ),
        base.diff_id(),
        own.diff_id()
    );
    assert_eq!(str::from_utf8(image.config()).unwrap(), expected);
    let expected = format!(
        concat!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"#,
            r#""layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{}","size":{}}},"#,
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{}","size":{}}}],"#,
            r#""annotations":{{"a":"1","b":"2"}}}}"#,
        ),
        image.config_digest(),
        image.config().len(),
        base.digest(),
        base.size(),
        own.digest(),
        own.size()
    );
    assert_eq!(str::from_utf8(image.manifest()).unwrap(), expected);
    assert_eq!(build().manifest_digest(), image.manifest_digest());
}

#[test]
fn a_base_without_a_usable_history_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    let layers = vec![layer(dir.path(), "a"), layer(dir.path(), "b")];
    for history in ["", r#"{"created_by":"only one"}"#] {
        let image = ImageBuilder::new(Platform::linux("arm64"), epoch())
            .base(layers.clone(), base_config(&layers, history).as_bytes())
            .unwrap()
            .build()
            .unwrap();
        let config = ImageConfiguration::from_reader(image.config()).unwrap();
        let texts: Vec<String> = config
            .history()
            .iter()
            .flatten()
            .map(|h| h.created_by().clone().unwrap())
            .collect();
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[1], format!("base image layer {}", layers[1].digest()));
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let layers = vec![layer(dir.path(), "a"), layer(dir.path(), "b")];
    let good = base_config(&layers, "");
    let base = |architecture: &str, layers: &[Layer], config: &str| {
        ImageBuilder::new(Platform::linux(architecture), epoch())
            .base(layers.to_vec(), config.as_bytes())
            .expect_err("a base that does not fit")
            .to_string()
    };
    assert_eq!(
        base("amd64", &layers, &good),
        "the base image is linux/arm64, not linux/amd64"
    );
    assert!(base("arm64", &layers[..1], &good).contains("layer 2 has diffID none"));
    let swapped = [layers[1].clone(), layers[0].clone()];
    assert!(base("arm64", &swapped, &good).contains("layer 1 has diffID sha256:"));
    assert!(base("arm64", &layers, "{").contains("configuration cannot be read"));

    let none = ImageBuilder::new(Platform::linux("arm64"), epoch()).build();
    assert!(matches!(none, Err(ImageError::NoLayers)));
    let bad_name = RunConfig {
        env: vec![("A=B".to_owned(), String::new())],
        ..RunConfig::default()
    };
    let bad_name = ImageBuilder::new(Platform::linux("arm64"), epoch())
        .layer(layers[0].clone(), "x")
        .run(bad_name)
        .build();
    assert!(matches!(bad_name, Err(ImageError::EnvName(_))));
}
