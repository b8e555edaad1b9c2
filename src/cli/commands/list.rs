//! `imgbuild list`: the recipes, in a table.

use anyhow::Result;
use jiff::Zoned;

use crate::cli::flags::Format;
use crate::cli::settings::Settings;
use crate::recipe::{BaseDefinition, Recipe};

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

fn row(recipe: &Recipe, base: &BaseDefinition, today: jiff::civil::Date) -> [String; HEADER.len()] {
    let features = recipe.python.features();
    let lifecycle = &recipe.lifecycle;
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
        lifecycle.deprecation.to_string(),
        lifecycle.block_create.to_string(),
        lifecycle.block_update.to_string(),
        lifecycle.status(today).to_owned(),
    ]
}

fn json(recipe: &Recipe, base: &BaseDefinition, today: jiff::civil::Date) -> serde_json::Value {
    serde_json::json!({
        "recipe": recipe.name,
        "base": {"name": base.name, "title": base.title, "glibc": base.glibc.0},
        "python": recipe.python.version.0,
        "boto3": recipe.sdk.boto3.0,
        "jit": recipe.python.jit.to_string(),
        "free_threading": recipe.python.free_threading.to_string(),
        "deprecation": recipe.lifecycle.deprecation,
        "block_create": recipe.lifecycle.block_create,
        "block_update": recipe.lifecycle.block_update,
        "status": recipe.lifecycle.status(today),
    })
}
