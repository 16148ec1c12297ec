//! The sections `[optimizer]` and `[schedule]`.

use diptych_config::{Choice, Table, choices};

choices! {
    /// Which optimizer.
    pub enum OptimizerKind {
        /// Layer-wise adaptive rate scaling (You et al. 2017), as BYOL.
        Lars = "lars",
        /// Stochastic gradient descent.
        Sgd = "sgd",
        /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
        AdamW = "adamw",
    }
}

choices! {
    /// How the learning rate follows the batch size.
    pub enum Scaling {
        /// It does not.
        None = "none",
        /// Times batch size / 256.
        Linear = "linear",
        /// Times the square root of the batch size.
        SquareRoot = "square_root",
    }
}

/// `[optimizer]`
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// Which.
    pub kind: OptimizerKind,
    /// Before scaling and schedule.
    pub learning_rate: f64,
    /// How the learning rate follows the batch size.
    pub scaling: Scaling,
    /// Of weights; of biases and norm parameters too with `adapt_all`.
    pub weight_decay: f64,
    /// Whether biases and norm parameters take weight decay (and, with `lars`, the trust ratio) like all others. BYOL's and
    /// SimCLR's code excludes them; SimSiam's, MoCo's and SwAV's does not.
    pub adapt_all: bool,
    /// Times the learning rate, for biases and norm parameters: Barlow Twins has 0.024.
    pub bias_multiplier: f64,
    /// For `lars` and `sgd`.
    pub momentum: f64,
    /// For `sgd`.
    pub nesterov: bool,
    /// For `lars`: eta of the trust ratio.
    pub trust_coefficient: f64,
    /// For `lars`: the momentum accumulates updates times the learning rate (SimCLR), not updates alone (BYOL).
    pub rate_in_momentum: bool,
    /// For `adamw`: decay of the two moments.
    pub betas: [f64; 2],
    /// For `adamw`: added to the denominator.
    pub epsilon: f64,
    /// Largest norm of all gradients together; larger ones are scaled down to it. 0 for any.
    pub clip_norm: f64,
    /// Batches whose gradients are averaged in one step: the papers' micro-batches. The target and the schedules advance once
    /// per step; batch statistics and negatives see one batch.
    pub micro_batches: u32,
}

impl OptimizerConfig {
    pub(super) fn read(table: &mut Table<'_>) -> OptimizerConfig {
        let kind = table.required_choice("id");
        let mut config = OptimizerConfig {
            kind,
            learning_rate: table.required_in("learning_rate", 0.0..),
            scaling: table.choice("scaling", Scaling::None),
            weight_decay: table.or_in("weight_decay", 0.0, 0.0..),
            adapt_all: table.or("adapt_all", false),
            bias_multiplier: table.or_in("bias_multiplier", 1.0, 0.0..),
            momentum: 0.9,
            nesterov: false,
            trust_coefficient: 1e-3,
            rate_in_momentum: false,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            clip_norm: table.or_in("clip_norm", 0.0, 0.0..),
            micro_batches: table.or_in("micro_batches", 1, 1..=65536),
        };
        match kind {
            OptimizerKind::Lars => {
                config.momentum = table.or_in("momentum", config.momentum, 0.0..1.0);
                config.trust_coefficient = table.or_in("trust_coefficient", config.trust_coefficient, 0.0..);
                config.rate_in_momentum = table.or("rate_in_momentum", config.rate_in_momentum);
            }
            OptimizerKind::Sgd => {
                config.momentum = table.or_in("momentum", config.momentum, 0.0..1.0);
                config.nesterov = table.or("nesterov", config.nesterov);
            }
            OptimizerKind::AdamW => {
                config.betas = table.or("betas", config.betas);
                if config.betas.iter().any(|beta| !(0.0..1.0).contains(beta)) {
                    let message = format!("found {:?}, expected two numbers from 0 to below 1", config.betas);
                    table.problem(Some("betas"), message);
                }
                config.epsilon = table.or_in("epsilon", config.epsilon, 0.0..);
            }
        }
        config
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::from_iter([
            ("id".to_owned(), self.kind.text().into()),
            ("learning_rate".to_owned(), self.learning_rate.into()),
            ("scaling".to_owned(), self.scaling.text().into()),
            ("weight_decay".to_owned(), self.weight_decay.into()),
            ("adapt_all".to_owned(), self.adapt_all.into()),
            ("bias_multiplier".to_owned(), self.bias_multiplier.into()),
            ("clip_norm".to_owned(), self.clip_norm.into()),
            ("micro_batches".to_owned(), i64::from(self.micro_batches).into()),
        ]);
        match self.kind {
            OptimizerKind::Lars => {
                table.insert("momentum".into(), self.momentum.into());
                table.insert("trust_coefficient".into(), self.trust_coefficient.into());
                table.insert("rate_in_momentum".into(), self.rate_in_momentum.into());
            }
            OptimizerKind::Sgd => {
                table.insert("momentum".into(), self.momentum.into());
                table.insert("nesterov".into(), self.nesterov.into());
            }
            OptimizerKind::AdamW => {
                table.insert("betas".into(), self.betas.to_vec().into());
                table.insert("epsilon".into(), self.epsilon.into());
            }
        }
        table
    }

    /// The learning rate at the schedule's top, for micro-batches of this size: it follows the samples of a whole step.
    pub fn scaled_learning_rate(&self, batch_size: u32) -> f64 {
        self.learning_rate * self.scaling.factor(f64::from(batch_size) * f64::from(self.micro_batches))
    }
}

impl Scaling {
    /// What a learning rate is multiplied with.
    pub fn factor(self, batch: f64) -> f64 {
        match self {
            Scaling::None => 1.0,
            Scaling::Linear => batch / 256.0,
            Scaling::SquareRoot => batch.sqrt(),
        }
    }
}

choices! {
    /// How the learning rate ends.
    pub enum Decay {
        /// To `final_fraction` of its top along half a cosine.
        Cosine = "cosine",
        /// Stays.
        Constant = "constant",
        /// Falls by `decay_factor` at each of `decay_at`, as MoCo v1.
        Steps = "steps",
    }
}

/// A length in optimizer steps or in passes over the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interval {
    /// Optimizer steps.
    Steps(u64),
    /// Passes over the data.
    Epochs(f64),
}

impl Interval {
    /// Reads `steps_key` or `epochs_key`; both at once is a problem.
    pub(super) fn read(table: &mut Table<'_>, steps_key: &str, epochs_key: &str) -> Option<Interval> {
        let steps = table.optional_in(steps_key, 0_u64..);
        let epochs = table.optional_in(epochs_key, 0.0..);
        match (steps, epochs) {
            (Some(_), Some(_)) => {
                let message = format!("found beside {steps_key}, expected one of the two");
                table.problem(Some(epochs_key), message);
                None
            }
            (Some(steps), None) => Some(Interval::Steps(steps)),
            (None, Some(epochs)) => Some(Interval::Epochs(epochs)),
            (None, None) => None,
        }
    }

    pub(super) fn insert(self, table: &mut toml::Table, steps_key: &str, epochs_key: &str) {
        match self {
            Interval::Steps(steps) => table.insert(steps_key.into(), (steps as i64).into()),
            Interval::Epochs(epochs) => table.insert(epochs_key.into(), epochs.into()),
        };
    }

    /// In optimizer steps, rounded.
    pub fn steps(self, steps_per_epoch: f64) -> u64 {
        match self {
            Interval::Steps(steps) => steps,
            Interval::Epochs(epochs) => (epochs * steps_per_epoch).round() as u64,
        }
    }
}

/// `[schedule]`: how long, and how the learning rate goes.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleConfig {
    /// Of the whole run.
    pub length: Interval,
    /// During which the learning rate rises linearly from 0.
    pub warmup: Interval,
    /// What follows.
    pub decay: Decay,
    /// For `cosine`: the share of the top that it ends at.
    pub final_fraction: f64,
    /// For `steps`: where the rate falls, as fractions of the whole run, in rising order.
    pub decay_at: Vec<f64>,
    /// For `steps`: what the rate is multiplied by there.
    pub decay_factor: f64,
}

impl ScheduleConfig {
    /// A schedule of no length yet that falls so, with the defaults of that fall.
    pub fn of(decay: Decay) -> ScheduleConfig {
        ScheduleConfig {
            length: Interval::Steps(1),
            warmup: Interval::Steps(0),
            decay,
            final_fraction: 0.0,
            decay_at: vec![0.6, 0.8],
            decay_factor: 0.1,
        }
    }

    pub(super) fn read(table: &mut Table<'_>) -> ScheduleConfig {
        let length = Interval::read(table, "steps", "epochs");
        if length.is_none() && !table.has("steps") && !table.has("epochs") {
            table.problem(Some("epochs"), "missing, expected epochs = N or steps = N");
        }
        if matches!(length, Some(Interval::Steps(0))) {
            table.problem(Some("steps"), "found 0, expected at least 1");
        }
        if matches!(length, Some(Interval::Epochs(epochs)) if epochs <= 0.0) {
            table.problem(Some("epochs"), "found 0, expected more");
        }
        let decay = table.choice("decay", Decay::Cosine);
        let ScheduleConfig { mut decay_at, mut decay_factor, mut final_fraction, .. } =
            ScheduleConfig::of(decay);
        if decay == Decay::Cosine {
            final_fraction = table.or_in("final_fraction", final_fraction, 0.0..=1.0);
        }
        if decay == Decay::Steps {
            decay_at = table.or("decay_at", decay_at);
            if !decay_at.is_sorted() || decay_at.iter().any(|at| !(0.0..=1.0).contains(at)) {
                let message =
                    format!("found {decay_at:?}, expected fractions of the run from 0 to 1 in rising order");
                table.problem(Some("decay_at"), message);
            }
            decay_factor = table.or_in("decay_factor", decay_factor, 0.0..=1.0);
        }
        ScheduleConfig {
            length: length.unwrap_or(Interval::Steps(1)),
            warmup: Interval::read(table, "warmup_steps", "warmup_epochs").unwrap_or(Interval::Steps(0)),
            decay,
            final_fraction,
            decay_at,
            decay_factor,
        }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        self.length.insert(&mut table, "steps", "epochs");
        self.warmup.insert(&mut table, "warmup_steps", "warmup_epochs");
        table.insert("decay".into(), self.decay.text().into());
        if self.decay == Decay::Cosine {
            table.insert("final_fraction".into(), self.final_fraction.into());
        }
        if self.decay == Decay::Steps {
            table.insert("decay_at".into(), self.decay_at.clone().into());
            table.insert("decay_factor".into(), self.decay_factor.into());
        }
        table
    }
}
