"""The types of sensors there are, and the one unit each is stored in. Devices' own units are converted on reading."""

from __future__ import annotations

from collections.abc import Mapping

SENSOR_UNITS: Mapping[str, str] = {
    "temperature": "celsius",
    "voltage": "volts",
    "current": "amperes",
    "power": "watts",
    "frequency": "hertz",
    "humidity": "percent",
    "airflow": "cubic_metres_per_minute",
    "fan_speed": "rpm",
    "fan_percent": "percent",
    "fan_state": "",
    "power_supply_state": "",
    "module_state": "",
    "alarm_state": "",
    "battery_charge": "percent",
    "optical_rx_power": "dBm",
    "optical_tx_power": "dBm",
    "laser_bias": "milliamperes",
    "optical_temperature": "celsius",
    "optical_voltage": "volts",
    "pre_fec_ber": "",
    "post_fec_ber": "",
    "q_factor": "dB",
    "osnr": "dB",
    "esnr": "dB",
    "optical_frequency": "terahertz",
    "chromatic_dispersion": "ps/nm",
    "differential_group_delay": "ps",
    "polarization_dependent_loss": "dB",
}
"""By type. ``*_state``: the value is the device's own code, ``status`` says what it means. No unit: a ratio or code."""
