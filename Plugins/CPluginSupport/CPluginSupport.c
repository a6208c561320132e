#include "CPluginSupport.h"
