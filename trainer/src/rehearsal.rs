//! A run's optimizer steps without its data: random images are made once and every step sees the same ones.
//!
//! For benchmarks. Networks, losses, optimizer and target are the run's own, with its initial weights; the learning rate is the
//! schedule's highest, the target's momentum its first, and no probe rides along.

use std::path::Path;

use diptych_abi::{LOSS_READS_LABELS, RandomStream};
use diptych_pipeline::{Size, random};
use tch::{Device, Tensor};

use crate::checkpoint::write_tensors;
use crate::config::{RunConfig, TargetKind};
use crate::diagnostics::Diagnostics;
use crate::method::{Method, StepOutputs};
use crate::native::{self, watch};
use crate::prefetch::Normalise;
use crate::step::{self, Passage};
use crate::update::Update;
use crate::{Error, Result, compose, contain};

/// What a step plans its views for; sets of views that crop give one size for all images.
const IMAGE: Size = Size { width: 256, height: 256 };
/// Classes of the random labels, where a loss reads labels.
const CLASSES: usize = 10;

/// Squares of one colour along each side of a random image.
const SQUARES: usize = 4;

/// Everything that a step needs.
pub struct Rehearsal {
    method: Method,
    update: Update,
    sizes: Vec<Size>,
    views: Vec<Tensor>,
    labels: Option<Tensor>,
    learning_rate: f64,
    target_momentum: Option<f64>,
    micro_batches: u32,
    done: u64,
    last: Option<StepOutputs>,
    threads: usize,
}

impl Rehearsal {
    /// Sets up the process as a run does, and makes everything.
    pub fn new(config: &RunConfig) -> Result<Rehearsal> {
        let threads = compose::prepare_process(config.threads);
        let device = config.device.open()?;
        contain("setting up the step", || Rehearsal::prepare(config, threads, device))
    }

    fn prepare(config: &RunConfig, threads: usize, device: Device) -> Result<Rehearsal> {
        let seed = random::seed(config.seed, "rehearsal");
        let mut stream = RandomStream::new([seed as u32, (seed >> 32) as u32]);
        let batch = config.loader.batch_size as usize;
        let normalise = Normalise::new(&config.input, device)?;
        let sizes = config.views.sizes(IMAGE)?;
        let views = sizes
            .iter()
            .map(|&size| random_images(batch, size, &mut stream, &normalise))
            .collect::<Result<Vec<_>>>()?;
        let labelled = config.losses.iter().any(|loss| loss.loss.component.flags() & LOSS_READS_LABELS != 0);
        let labels: Vec<i64> = (0..batch).map(|_| stream.below(CLASSES as u64) as i64).collect();
        let labels = if labelled { Some(Tensor::f_from_slice(&labels)?.f_to_device(device)?) } else { None };
        let mut method = compose::method(config, labelled.then_some(CLASSES), None, device)?;
        method.probe = None;
        let update = Update::new(config, &mut method)?;
        Ok(Rehearsal {
            method,
            update,
            sizes,
            views,
            labels,
            learning_rate: config.optimizer.scaled_learning_rate(config.loader.batch_size),
            target_momentum: (config.target.kind == TargetKind::Ema).then_some(config.target.momentum),
            micro_batches: config.optimizer.micro_batches,
            done: 0,
            last: None,
            threads,
        })
    }

    /// libtorch's threads within one operation.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Sizes of the views in pixels.
    pub fn sizes(&self) -> &[Size] {
        &self.sizes
    }

    /// One step; answers its loss. The device has finished when this returns.
    pub fn step(&mut self) -> Result<f64> {
        self.last = None;
        self.contained(|rehearsal| {
            let outputs = rehearsal.run_step()?;
            let loss = loss(&outputs)?;
            rehearsal.last = Some(outputs);
            Ok(loss)
        })
    }

    /// What a logged step computes besides, of the last step: the diagnostics and the losses' figures.
    pub fn diagnose(&mut self) -> Result<()> {
        self.contained(|rehearsal| {
            let Some(outputs) = &rehearsal.last else { return Ok(()) };
            Diagnostics::of(&rehearsal.method.networks, &outputs.views)?;
            outputs.figures.iter().try_for_each(|(_, figure)| Ok(figure.f_double_value(&[]).map(drop)?))
        })
    }

    /// Bytes of the tensors that live from step to step: weights, buffers, the optimizer's state and the images.
    pub fn resting_bytes(&mut self) -> Result<usize> {
        let variables = self.method.variables()?.into_iter().map(|variable| variable.tensor);
        let state = self.update.state().into_iter().map(|(_, tensor)| tensor);
        let inputs = self.views.iter().chain(&self.labels).map(Tensor::shallow_clone);
        Ok(variables.chain(state).chain(inputs).map(|tensor| bytes(&tensor)).sum())
    }

    /// One step; answers its loss, and the most bytes of tensors that it held at once beyond those at rest.
    pub fn watched_step(&mut self) -> Result<(f64, usize)> {
        let mut loss = f64::NAN;
        let bytes = watch::peak_bytes(|| {
            loss = self.step()?;
            Ok(())
        })?;
        Ok((loss, bytes))
    }

    /// Writes the weights and the views as they are now, `model.safetensors` and `views.safetensors`, into `folder`.
    pub fn save(&mut self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| Error::file("make", folder, error))?;
        let variables = self.method.variables()?.into_iter();
        let variables: Vec<_> = variables.map(|variable| (variable.name, variable.tensor)).collect();
        let views = self.views.iter().enumerate();
        let views: Vec<_> =
            views.map(|(index, view)| (format!("view{}", index + 1), view.shallow_clone())).collect();
        write_tensors(&folder.join("model.safetensors"), &variables)?;
        write_tensors(&folder.join("views.safetensors"), &views)
    }

    fn contained<T>(&mut self, work: impl FnOnce(&mut Rehearsal) -> Result<T>) -> Result<T> {
        contain("the step", || work(self))
    }

    fn run_step(&mut self) -> Result<StepOutputs> {
        let (step, micro_batches) = (self.done, self.micro_batches);
        let mut pass = |micro_batch| {
            let passage = Passage { seed: 0, step, steps: u64::MAX, micro_batch, micro_batches };
            step::accumulate(&mut self.method, &self.views, self.labels.as_ref(), passage)
        };
        let mut outputs = pass(0)?;
        for micro_batch in 1..micro_batches {
            outputs = pass(micro_batch)?;
        }
        step::finish(&mut self.method, &mut self.update, self.learning_rate, self.target_momentum)?;
        self.done += 1;
        Ok(outputs)
    }
}

/// Waits for the device, since the update was given to it before this is asked.
fn loss(outputs: &StepOutputs) -> Result<f64> {
    Ok(outputs.loss.f_double_value(&[])?)
}

fn bytes(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

/// Squares of random colours, as float [batch, 3, rows, columns] in the memory layout of a run's batches. Noise pixel by pixel
/// would make all images one to a network, whose batch norms then enlarge nothing but rounding.
fn random_images(
    batch: usize,
    size: Size,
    stream: &mut RandomStream,
    normalise: &Normalise,
) -> Result<Tensor> {
    let (height, width) = (size.height as usize, size.width as usize);
    let mut pixels = Vec::with_capacity(batch * height * width * 3);
    for _ in 0..batch {
        let colors: [[[u8; 3]; SQUARES]; SQUARES] = std::array::from_fn(|_| {
            std::array::from_fn(|_| stream.next_u64().to_le_bytes()).map(|[r, g, b, ..]| [r, g, b])
        });
        for row in 0..height {
            let colors = &colors[row * SQUARES / height];
            pixels.extend((0..width).flat_map(|column| colors[column * SQUARES / width]));
        }
    }
    let shape = [batch, height, width, 3].map(|side| side as i64);
    native::with_pixels(&pixels, shape, |pixels| normalise.apply(pixels))
}
