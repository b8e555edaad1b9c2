//! `imgbuild list`: the recipes, in a table.

use anyhow::Result;
use jiff::Zoned;
use jiff::civil::Date;

use crate::cli::flags::Format;
use crate::cli::settings::Settings;
use crate::recipe::{BaseDefinition, Lifecycle, Recipe};

/// Prints every recipe with its base, versions, features and lifecycle.
pub fn run(settings: &Settings) -> Result<()> {
    let today = Zoned::now().date();
    let mut rows = Vec::new();
    for name in settings.library.recipes() {
        let text = settings.library.recipe(&name)?;
        let recipe = Recipe::parse(&text.path, &text.text, &[])?;
        let base = settings.library.base(&text.path, &recipe.base)?;
        let base = BaseDefinition::parse(&base.path, &base.text)?;
        rows.push((recipe, base));
    }
    if settings.format == Format::Json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(recipe, base)| json(recipe, base, today))
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    let mut table = vec![HEADER.map(str::to_owned)];
    table.extend(rows.iter().map(|(recipe, base)| row(recipe, base, today)));
    let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; HEADER.len()] = std::array::from_fn(width);
    for row in &table {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        println!("{}", cells.join("  ").trim_end());
    }
    Ok(())
}

const HEADER: [&str; 9] = [
    "RECIPE",
    "BASE",
    "PYTHON",
    "BOTO3",
    "FEATURES",
    "DEPRECATION",
    "BLOCK CREATE",
    "BLOCK UPDATE",
    "STATUS",
];

fn row(recipe: &Recipe, base: &BaseDefinition, today: Date) -> [String; HEADER.len()] {
    let features = recipe.python.features();
    let date = |date: fn(&Lifecycle) -> Date| {
        recipe
            .lifecycle
            .as_ref()
            .map_or("-".to_owned(), |lifecycle| date(lifecycle).to_string())
    };
    [
        recipe.name.clone(),
        base.title.clone(),
        recipe.python.version.to_string(),
        recipe.sdk.boto3.to_string(),
        if features.is_empty() {
            "-".to_owned()
        } else {
            features.join(" ")
        },
        date(|lifecycle| lifecycle.deprecation),
        date(|lifecycle| lifecycle.block_create),
        date(|lifecycle| lifecycle.block_update),
        status(recipe, today).to_owned(),
    ]
}

fn json(recipe: &Recipe, base: &BaseDefinition, today: Date) -> serde_json::Value {
    serde_json::json!({
        "recipe": recipe.name,
        "base": {"name": base.name, "title": base.title, "glibc": base.glibc.0},
        "python": recipe.python.version.0,
        "boto3": recipe.sdk.boto3.0,
        "jit": recipe.python.jit.to_string(),
        "free_threading": recipe.python.free_threading.to_string(),
        "deprecation": recipe.lifecycle.map(|lifecycle| lifecycle.deprecation),
        "block_create": recipe.lifecycle.map(|lifecycle| lifecycle.block_create),
        "block_update": recipe.lifecycle.map(|lifecycle| lifecycle.block_update),
        "status": status(recipe, today),
    })
}

fn status(recipe: &Recipe, today: Date) -> &'static str {
    recipe
        .lifecycle
        .map_or("preview", |lifecycle| lifecycle.status(today))
}
