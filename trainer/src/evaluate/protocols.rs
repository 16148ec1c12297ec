//! From a protocol's table to the sections of the result.
//!
//! The images of each role are told apart here: what is fitted on, what the choice is made on, what is judged.

use diptych_pipeline::Source;
use serde_json::{Map, Value, json};

use super::features::Features;
use super::linear::{self, Labelled};
use super::measured::Measured;
use super::network::Network;
use super::report::{EvaluatedSet, Roles, Section};
use super::selection::Selection;
use super::tuning::{Recipe, search};
use super::{Context, Images, knn, linear_sgd, split};
use crate::config::{
    FineTuneConfig, HeldOut, Interval, KnnConfig, LinearConfig, LinearSgdConfig, SemiSupervisedConfig,
};
use crate::{Result, files};

/// Features that are taken once, for the protocols that share them.
pub(super) struct Taken {
    pub train: Features,
    pub validation: Option<Features>,
}

/// `[linear]`
pub(super) fn linear(
    context: &Context<'_>,
    config: &LinearConfig,
    images: &Images,
    taken: &Taken,
    test: &Features,
) -> Result<Section> {
    let train = Labelled::of(&taken.train);
    let validation = taken.validation.as_ref().map(Labelled::of);
    let fitted = linear::fit(config, context.config.metric, context.classes, &train, validation.as_ref())?;
    let measured = Measured::of(&fitted.scores(&test.values), &test.labels, context.classes);
    let fit = fitted.fit();
    let mut figures = Map::new();
    figures.insert("lambda".into(), json!(fitted.lambda));
    figures.insert("iterations".into(), json!(fit.iterations));
    figures.insert("gradient".into(), json!(fit.gradient));
    figures.insert("converged".into(), json!(fit.converged));
    let remark = (!fit.converged).then(|| {
        format!(
            "the logistic regression stopped after {} iterations before it converged (gradient {:.1e}); a larger linear.l2 helps",
            fit.iterations, fit.gradient
        )
    });
    let mut roles =
        Roles::new(EvaluatedSet::of(&images.train, "train", taken.train.skipped), &images.test, test);
    match (&images.validation, &taken.validation) {
        (Some(images), Some(taken)) => {
            let set = EvaluatedSet::of(images, "validation", taken.skipped);
            roles.fit.push(set.clone());
            roles.choice = (config.l2.len() > 1).then_some(set);
        }
        _ if config.l2.len() > 1 => {
            let rows = taken.train.rows.len();
            let (_, held_out) = split::hold_out(rows, config.held_out.count(rows), config.held_out.seed)?;
            let rows: Vec<usize> = held_out.into_iter().map(|row| taken.train.rows[row]).collect();
            roles.choice = Some(EvaluatedSet::of(&images.train.pick(&rows), "held out of train", 0));
        }
        _ => {}
    }
    Ok(Section {
        name: "linear".into(),
        protocol: "linear",
        label: format!("linear (L2 {:.0e})", fitted.lambda),
        heading: "linear".into(),
        measured,
        figures,
        trials: fitted.trials,
        chosen: fitted.chosen,
        roles,
        remarks: remark.into_iter().collect(),
    })
}

/// `[knn]`: a section for each k; the first is called `knn`, others `knn_k200`.
pub(super) fn knn(
    context: &Context<'_>,
    config: &KnnConfig,
    images: &Images,
    taken: &Taken,
    test: &Features,
) -> Vec<Section> {
    let temperature = config.temperature;
    let section = |(index, k): (usize, &u32)| {
        let train = &taken.train;
        let votes = knn::scores(
            &train.values,
            &train.labels,
            &test.values,
            context.classes,
            i64::from(*k),
            temperature,
        );
        let mut figures = Map::new();
        figures.insert("k".into(), json!(k));
        figures.insert("temperature".into(), json!(temperature));
        Section {
            name: if index == 0 { "knn".into() } else { format!("knn_k{k}") },
            protocol: "knn",
            label: format!("kNN (k = {k}, temperature {temperature})"),
            heading: if index == 0 { "kNN".into() } else { format!("kNN {k}") },
            measured: Measured::of(&votes, &test.labels, context.classes),
            figures,
            trials: Vec::new(),
            chosen: 0,
            roles: Roles::new(EvaluatedSet::of(&images.train, "train", train.skipped), &images.test, test),
            remarks: Vec::new(),
        }
    };
    config.k.iter().enumerate().map(section).collect()
}

/// `[linear_sgd]`
pub(super) fn linear_sgd(
    context: &Context<'_>,
    network: &mut Network,
    config: &LinearSgdConfig,
    images: &Images,
    test: &Features,
) -> Result<Section> {
    let choose = config.training.learning_rates.len() > 1;
    let (fit, choice) = for_choice(images, &images.train, &config.training.held_out, choose)?;
    let trained =
        linear_sgd::train(context, network, config, &fit, choice.as_ref().map(|(choice, _)| choice))?;
    let measured = Measured::of(&trained.scores(&test.values)?, &test.labels, context.classes);
    let rate = trained.trials[trained.chosen].setting["learning_rate"].clone();
    let mut roles = Roles::new(EvaluatedSet::of(&fit, "train", trained.skipped), &images.test, test);
    roles.choice = choice.map(|(choice, split)| EvaluatedSet::of(&choice, split, 0));
    Ok(Section {
        name: "linear_sgd".into(),
        protocol: "linear_sgd",
        label: format!("linear by SGD (learning rate {rate})"),
        heading: "SGD".into(),
        measured,
        figures: Map::new(),
        trials: trained.trials,
        chosen: trained.chosen,
        roles,
        remarks: Vec::new(),
    })
}

/// `[semi_supervised]`: a section for each share of the labels.
pub(super) fn semi_supervised(
    context: &Context<'_>,
    config: &SemiSupervisedConfig,
    images: &Images,
) -> Result<Vec<Section>> {
    let training = &config.training;
    let labels = images.train.labels();
    let mut recipes = Vec::new();
    for epochs in &config.epochs {
        for learning_rate in &training.learning_rates {
            recipes.push(Recipe {
                protocol: "semi_supervised",
                training,
                learning_rate: *learning_rate,
                weight_decay: config.weight_decay,
                length: Interval::Epochs(*epochs as f64),
            });
        }
    }
    let mut sections = Vec::new();
    for fraction in &config.fractions {
        let percent = percent(*fraction);
        let taken = split::stratified(&labels, *fraction, training.held_out.seed);
        let fit = images.train.pick(&taken);
        // Nothing of the part itself is held out: it would no longer be this share.
        let rest = images.train.pick(&split::others(labels.len(), &taken));
        let choice = match &images.validation {
            _ if recipes.len() == 1 => None,
            Some(validation) => Some((validation.clone(), "validation")),
            None => {
                let held_out = training.held_out;
                let (_, rows) = split::hold_out(rest.len(), held_out.count(labels.len()), held_out.seed)?;
                Some((rest.pick(&rows), "held out of train"))
            }
        };
        let mut searched = search(context, &recipes, &fit, choice.as_ref().map(|(choice, _)| choice))?;
        let (scores, test) = searched.tuned.scores(context, &images.test)?;
        let file = format!("split_{percent}_percent.txt");
        write_names(&context.folder.join(&file), &fit)?;
        let mut figures = Map::new();
        figures.insert("fraction".into(), json!(fraction));
        figures.insert("split".into(), json!(file));
        let fitted = EvaluatedSet::of(&fit, "part of train", searched.tuned.skipped);
        let mut roles = Roles::new(fitted, &images.test, &test);
        roles.choice = choice.map(|(choice, split)| EvaluatedSet::of(&choice, split, 0));
        sections.push(Section {
            name: format!("semi_supervised_{percent}_percent"),
            protocol: "semi_supervised",
            label: format!("{percent} % of labels ({})", told(&searched.trials[searched.chosen].setting)),
            heading: format!("{percent} %"),
            measured: Measured::of(&scores, &test.labels, context.classes),
            figures,
            trials: searched.trials,
            chosen: searched.chosen,
            roles,
            remarks: Vec::new(),
        });
    }
    Ok(sections)
}

/// `[fine_tune]`: the chosen setting is trained again on all images.
pub(super) fn fine_tune(context: &Context<'_>, config: &FineTuneConfig, images: &Images) -> Result<Section> {
    let training = &config.training;
    let mut recipes = Vec::new();
    for learning_rate in &training.learning_rates {
        for weight_decay in &config.weight_decays {
            recipes.push(Recipe {
                protocol: "fine_tune",
                training,
                learning_rate: *learning_rate,
                weight_decay: *weight_decay,
                length: Interval::Steps(config.steps),
            });
        }
    }
    let all = match &images.validation {
        Some(validation) => images.train.and(validation),
        None => images.train.clone(),
    };
    let (fit, choice) = for_choice(images, &all, &training.held_out, recipes.len() > 1)?;
    let mut searched = search(context, &recipes, &fit, choice.as_ref().map(|(choice, _)| choice))?;
    if choice.is_some() {
        let chosen = recipes[searched.chosen];
        searched.tuned = chosen.train(context, &all)?.ok_or_else(|| linear_sgd::diverged("fine_tune"))?;
    }
    let (scores, test) = searched.tuned.scores(context, &images.test)?;
    let split = if images.validation.is_some() { "train and validation" } else { "train" };
    let fitted = EvaluatedSet::of(&all, split, searched.tuned.skipped);
    let mut roles = Roles::new(fitted, &images.test, &test);
    roles.choice = choice.map(|(choice, split)| EvaluatedSet::of(&choice, split, 0));
    Ok(Section {
        name: "fine_tune".into(),
        protocol: "fine_tune",
        label: format!("fine-tuned ({})", told(&searched.trials[searched.chosen].setting)),
        heading: "tuned".into(),
        measured: Measured::of(&scores, &test.labels, context.classes),
        figures: Map::new(),
        trials: searched.trials,
        chosen: searched.chosen,
        roles,
        remarks: Vec::new(),
    })
}

/// What to fit on while choosing, and what to choose on: validation images, or held-out training images. Without a choice,
/// `all` and nothing.
fn for_choice(
    images: &Images,
    all: &Selection,
    held_out: &HeldOut,
    choose: bool,
) -> Result<(Selection, Option<(Selection, &'static str)>)> {
    Ok(match &images.validation {
        _ if !choose => (all.clone(), None),
        Some(validation) => (images.train.clone(), Some((validation.clone(), "validation"))),
        None => {
            let samples = images.train.len();
            let (fit, rows) = split::hold_out(samples, held_out.count(samples), held_out.seed)?;
            (images.train.pick(&fit), Some((images.train.pick(&rows), "held out of train")))
        }
    })
}

/// Takes the features that `[linear]` and `[knn]` share.
pub(super) fn take(context: &Context<'_>, network: &mut Network, images: &Images) -> Result<Taken> {
    let mut extract = |selection: &Selection| context.features(network, selection);
    let train = extract(&images.train)?;
    // Nearest neighbours alone have no use for validation images.
    let validation = images.validation.as_ref().filter(|_| context.config.linear.is_some());
    Ok(Taken { train, validation: validation.map(extract).transpose()? })
}

/// The samples' names, one a line.
fn write_names(path: &std::path::Path, images: &Selection) -> Result<()> {
    let mut text = Vec::new();
    for index in 0..images.len() {
        text.extend(images.name(index));
        text.push(b'\n');
    }
    files::replace(path, text)
}

/// `1`, `10`, `0.5`.
fn percent(fraction: f64) -> String {
    // Without the digits that multiplying by 100 leaves behind.
    format!("{}", (fraction * 1e8).round() / 1e6)
}

fn told(setting: &Map<String, Value>) -> String {
    let part = |(name, value): (&String, &Value)| match name.as_str() {
        "weight_decay" if value.as_f64() == Some(0.0) => None,
        name => Some(format!("{} {value}", name.replace('_', " "))),
    };
    setting.iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_have_no_more_digits_than_they_need() {
        assert_eq!([0.01, 0.1, 0.005, 0.07, 0.29].map(percent), ["1", "10", "0.5", "7", "29"]);
    }
}
